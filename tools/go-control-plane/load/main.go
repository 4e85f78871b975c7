// Load for control planes: many delta streams, each a data plane of its own, and the rival that serves them beside ours.
//
//	ads-load clients HOST:PORT STREAMS   connects STREAMS data planes, one connection each, and reports on standard output:
//	                                     `whole N`: nanoseconds since the first connection until all have everything,
//	                                     behind `broken N`: streams that ended until then and were opened again;
//	                                     `acked N`: Unix time in nanoseconds at which the last of them has acknowledged
//	                                     an endpoint change that all have been sent.
//	ads-load serve SERVICES ENDPOINTS    serves as many clusters through go-control-plane; each line of standard input
//	                                     moves one endpoint, and `changed N` says when (Unix time in nanoseconds).
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
)

const maxMessage = 64 << 20

func main() {
	if len(os.Args) == 4 && os.Args[1] == "clients" {
		load(os.Args[2], number(os.Args[3]))
	} else if len(os.Args) == 4 && os.Args[1] == "serve" {
		serve(number(os.Args[2]), number(os.Args[3]))
	} else {
		log.Fatal("usage: ads-load clients HOST:PORT STREAMS | serve SERVICES ENDPOINTS")
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return value
}

// fleet counts how far its clients have come together.
type fleet struct {
	size    int64
	began   time.Time
	whole   atomic.Int64 // clients that have every endpoint
	changes atomic.Int64 // acknowledged changes, of all clients
	broken  atomic.Int64 // streams that ended
}

func load(target string, streams int) {
	all := &fleet{size: int64(streams), began: time.Now()}
	for i := 0; i < streams; i++ {
		go all.run(target, i)
	}
	select {}
}

// run keeps one data plane connected, as data planes do: a stream that breaks is counted and opened again.
func (f *fleet) run(target string, number int) {
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		log.Fatal(err)
	}
	client := discovery.NewAggregatedDiscoveryServiceClient(connection)
	for {
		err := f.stream(client, number)
		if f.broken.Add(1) == 1 {
			log.Printf("the first stream that broke, of client %d: %v", number, err)
		}
		time.Sleep(time.Second)
	}
}

func (f *fleet) stream(client discovery.AggregatedDiscoveryServiceClient, number int) error {
	stream, err := client.DeltaAggregatedResources(context.Background(), grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	role, _ := structpb.NewStruct(map[string]any{"role": "gateway"})
	node := &core.Node{Id: fmt.Sprintf("load-%d", number), Metadata: role}
	if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: node, TypeUrl: resource.ClusterType}); err != nil {
		return err
	}
	wanted, held, asked := map[string]bool{}, map[string]bool{}, false
	defer func() {
		if asked && len(held) == len(wanted) {
			f.whole.Add(-1)
		}
	}()
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce}); err != nil {
			return err
		}
		switch response.TypeUrl {
		case resource.ClusterType:
			var names []string
			for _, one := range response.Resources {
				if !wanted[one.Name] {
					wanted[one.Name] = true
					names = append(names, one.Name)
				}
			}
			asked = true
			if err := stream.Send(&discovery.DeltaDiscoveryRequest{TypeUrl: resource.EndpointType, ResourceNamesSubscribe: names}); err != nil {
				return err
			}
		case resource.EndpointType:
			before := len(held)
			for _, one := range response.Resources {
				held[one.Name] = true
			}
			if before < len(wanted) && len(held) == len(wanted) && asked {
				if f.whole.Add(1) == f.size {
					fmt.Printf("broken %d\n", f.broken.Load())
					fmt.Printf("whole %d\n", time.Since(f.began).Nanoseconds())
				}
			} else if before == len(wanted) && f.changes.Add(1)%f.size == 0 {
				fmt.Printf("acked %d\n", time.Now().UnixNano())
			}
		}
	}
}

// everybody gives all nodes one configuration.
type everybody struct{}

func (everybody) ID(*core.Node) string { return "all" }

func serve(services, endpoints int) {
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	snapshots := cache.NewSnapshotCache(true, everybody{}, nil)
	serving := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(serving, server.NewServer(context.Background(), snapshots, nil))
	var clusters, assignments []types.Resource
	for i := 0; i < services; i++ {
		clusters = append(clusters, clusterOf(i))
		assignments = append(assignments, assignment(i, endpoints, 0))
	}
	var lock sync.Mutex
	set := func(version int) {
		lock.Lock()
		defer lock.Unlock()
		snapshot, err := cache.NewSnapshot(strconv.Itoa(version), map[resource.Type][]types.Resource{
			resource.ClusterType: clusters, resource.EndpointType: assignments,
		})
		if err != nil {
			log.Fatal(err)
		}
		if err := snapshots.SetSnapshot(context.Background(), "all", snapshot); err != nil {
			log.Fatal(err)
		}
	}
	set(0)
	go func() { log.Fatal(serving.Serve(listening)) }()
	fmt.Printf("port %d\n", listening.Addr().(*net.TCPAddr).Port)
	input := bufio.NewScanner(os.Stdin)
	for version := 1; input.Scan(); version++ {
		began := time.Now().UnixNano()
		assignments[version%services] = assignment(version%services, endpoints, version)
		set(version)
		fmt.Printf("changed %d\n", began)
	}
}

func name(i int) string { return fmt.Sprintf("default/svc-%d:80", i) }

func clusterOf(i int) *cluster.Cluster {
	return &cluster.Cluster{
		Name:                 name(i),
		ConnectTimeout:       durationpb.New(5 * time.Second),
		ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
		EdsClusterConfig: &cluster.Cluster_EdsClusterConfig{EdsConfig: &core.ConfigSource{
			ResourceApiVersion:    core.ApiVersion_V3,
			ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
		}},
	}
}

func assignment(i, endpoints, moved int) *endpoint.ClusterLoadAssignment {
	var hosts []*endpoint.LbEndpoint
	for j := 0; j < endpoints; j++ {
		last := j
		if j == 0 {
			last = 100 + moved%100
		}
		address := fmt.Sprintf("10.%d.%d.%d", i/250, i%250, last)
		hosts = append(hosts, &endpoint.LbEndpoint{HostIdentifier: &endpoint.LbEndpoint_Endpoint{
			Endpoint: &endpoint.Endpoint{Address: &core.Address{Address: &core.Address_SocketAddress{
				SocketAddress: &core.SocketAddress{Address: address,
					PortSpecifier: &core.SocketAddress_PortValue{PortValue: 8080}},
			}}},
		}})
	}
	return &endpoint.ClusterLoadAssignment{
		ClusterName: name(i),
		Endpoints:   []*endpoint.LocalityLbEndpoints{{LbEndpoints: hosts}},
	}
}

// A control plane on go-control-plane, for tests: it serves one listener, one route table, and the clusters it is told of.
//
// Each line of standard input is `NAME PORT KEPT...`: requests go to the cluster NAME, whose endpoint is that port of the
// loopback; clusters KEPT stay configured. With `-faults` the listener has a filter whose configuration is sent by name,
// and a line `faults STATUS` has all requests answered so; 0 has none. Standard output says `port N` once, then `ack V` when
// the client has acknowledged the routes of line V, `faults V` for that filter, and `nack ...` for whatever it refuses.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	fault "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	kind "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	node   = "gateway-1"
	faults = "faults"
)

func main() {
	withFaults := flag.Bool("faults", false, "give the listener a filter whose configuration is sent by name")
	flag.Parse()
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	snapshots := cache.NewSnapshotCache(true, cache.IDHash{}, nil)
	serving := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(
		serving, server.NewServer(context.Background(), snapshots, &answers{versions: map[string]string{}}))
	go func() { log.Fatal(serving.Serve(listening)) }()
	fmt.Printf("port %d\n", listening.Addr().(*net.TCPAddr).Port)
	told := mesh{ports: map[string]uint32{}}
	if *withFaults {
		told.extensions = []types.Resource{faultsOf(0)}
	}
	input := bufio.NewScanner(os.Stdin)
	for version := 1; input.Scan(); version++ {
		words := strings.Fields(input.Text())
		number, err := strconv.ParseUint(words[1], 10, 16)
		if err != nil {
			log.Fatal(err)
		}
		if words[0] == faults {
			told.extensions = []types.Resource{faultsOf(uint32(number))}
		} else {
			told.ports[words[0]] = uint32(number)
			told.target, told.names = words[0], append(words[2:], words[0])
		}
		if err := snapshots.SetSnapshot(context.Background(), node, told.snapshot(strconv.Itoa(version))); err != nil {
			log.Fatal(err)
		}
	}
}

// mesh is all that the client is to be told.
type mesh struct {
	target     string
	names      []string
	ports      map[string]uint32
	extensions []types.Resource
}

func (m *mesh) snapshot(version string) *cache.Snapshot {
	var clusters, assignments []types.Resource
	for _, name := range m.names {
		clusters = append(clusters, &cluster.Cluster{
			Name:                 name,
			ConnectTimeout:       durationpb.New(time.Second),
			ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
			EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: ads()},
		})
		assignments = append(assignments, &endpoint.ClusterLoadAssignment{
			ClusterName: name,
			Endpoints: []*endpoint.LocalityLbEndpoints{{LbEndpoints: []*endpoint.LbEndpoint{{
				HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: loopback(m.ports[name])}},
			}}}},
		})
	}
	toTarget := &route.Route{
		Match:  &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/"}},
		Action: &route.Route_Route{Route: &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: m.target}}},
	}
	table := &route.RouteConfiguration{
		Name:         "public",
		VirtualHosts: []*route.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*route.Route{toTarget}}},
	}
	snapshot, err := cache.NewSnapshot(version, map[resource.Type][]types.Resource{
		resource.ClusterType:         clusters,
		resource.EndpointType:        assignments,
		resource.RouteType:           {table},
		resource.ListenerType:        {public(len(m.extensions) > 0)},
		resource.ExtensionConfigType: m.extensions,
	})
	if err != nil {
		log.Fatal(err)
	}
	return snapshot
}

// faultsOf answers all requests by status; 0 answers none.
func faultsOf(status uint32) *core.TypedExtensionConfig {
	config := &fault.HTTPFault{}
	if status != 0 {
		config.Abort = &fault.FaultAbort{
			ErrorType:  &fault.FaultAbort_HttpStatus{HttpStatus: status},
			Percentage: &kind.FractionalPercent{Numerator: 100},
		}
	}
	return &core.TypedExtensionConfig{Name: faults, TypedConfig: packed(config)}
}

func public(withFaults bool) *listener.Listener {
	filters := []*hcm.HttpFilter{{
		Name:       "router",
		ConfigType: &hcm.HttpFilter_TypedConfig{TypedConfig: packed(&router.Router{})},
	}}
	if withFaults {
		discovered := &core.ExtensionConfigSource{
			ConfigSource: ads(),
			TypeUrls:     []string{packed(&fault.HTTPFault{}).GetTypeUrl()},
		}
		filters = append([]*hcm.HttpFilter{{
			Name:       faults,
			ConfigType: &hcm.HttpFilter_ConfigDiscovery{ConfigDiscovery: discovered},
		}}, filters...)
	}
	manager := &hcm.HttpConnectionManager{
		StatPrefix: "public",
		RouteSpecifier: &hcm.HttpConnectionManager_Rds{
			Rds: &hcm.Rds{ConfigSource: ads(), RouteConfigName: "public"},
		},
		HttpFilters: filters,
	}
	return &listener.Listener{
		Name:    "public",
		Address: loopback(0),
		FilterChains: []*listener.FilterChain{{Filters: []*listener.Filter{{
			Name:       "http",
			ConfigType: &listener.Filter_TypedConfig{TypedConfig: packed(manager)},
		}}}},
	}
}

func ads() *core.ConfigSource {
	return &core.ConfigSource{
		ResourceApiVersion:    core.ApiVersion_V3,
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
	}
}

func loopback(port uint32) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address:       "127.0.0.1",
		PortSpecifier: &core.SocketAddress_PortValue{PortValue: port},
	}}}
}

func packed(message proto.Message) *anypb.Any {
	wrapped, err := anypb.New(message)
	if err != nil {
		log.Fatal(err)
	}
	return wrapped
}

// words are those for the acknowledgement of each type that is told of.
var words = map[string]string{resource.RouteType: "ack", resource.ExtensionConfigType: faults}

// answers tells what the client says to routes and filters.
type answers struct {
	server.CallbackFuncs
	mutex    sync.Mutex
	versions map[string]string // of responses, by type and nonce
}

func (a *answers) sent(typeURL, nonce, version string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if words[typeURL] != "" {
		a.versions[typeURL+nonce] = version
	}
}

func (a *answers) heard(typeURL, nonce string, refusal string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if refusal != "" {
		fmt.Printf("nack %s %s\n", typeURL, refusal)
	} else if version, known := a.versions[typeURL+nonce]; known {
		delete(a.versions, typeURL+nonce)
		fmt.Printf("%s %s\n", words[typeURL], version)
	}
}

func (a *answers) OnStreamResponse(_ context.Context, _ int64, _ *discovery.DiscoveryRequest, response *discovery.DiscoveryResponse) {
	a.sent(response.GetTypeUrl(), response.GetNonce(), response.GetVersionInfo())
}

func (a *answers) OnStreamRequest(_ int64, request *discovery.DiscoveryRequest) error {
	a.heard(request.GetTypeUrl(), request.GetResponseNonce(), request.GetErrorDetail().GetMessage())
	return nil
}

func (a *answers) OnStreamDeltaResponse(_ int64, _ *discovery.DeltaDiscoveryRequest, response *discovery.DeltaDiscoveryResponse) {
	a.sent(response.GetTypeUrl(), response.GetNonce(), response.GetSystemVersionInfo())
}

func (a *answers) OnStreamDeltaRequest(_ int64, request *discovery.DeltaDiscoveryRequest) error {
	a.heard(request.GetTypeUrl(), request.GetResponseNonce(), request.GetErrorDetail().GetMessage())
	return nil
}

// Command api-oracle serves custom resources as Kubernetes does: the API server of CustomResourceDefinitions
// (k8s.io/apiextensions-apiserver) over etcd, both in this one process. Tests put the same requests to it and to the
// embedded API and compare the answers.
//
// It keeps its data, its certificate and its log in the directory -data, which is there, lets in everybody, and says
// `serving https://127.0.0.1:PORT` on standard output once it is ready. It ends when its standard input does, so that
// it does not outlive whoever started it. It has no core/v1, so no namespaces and no garbage collector.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apiextensions-apiserver/pkg/cmd/server/options"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

const (
	readyWithin = 60 * time.Second
	askEvery    = 50 * time.Millisecond
)

// nowhere is a kubeconfig of the API server that aggregates this one: the options insist on one, nothing dials it.
const nowhere = `{"apiVersion": "v1", "kind": "Config", "current-context": "nowhere",
 "clusters": [{"name": "nowhere", "cluster": {"server": "http://127.0.0.1:1"}}],
 "users": [{"name": "nobody", "user": {}}],
 "contexts": [{"name": "nowhere", "context": {"cluster": "nowhere", "user": "nobody"}}]}`

func main() {
	data := flag.String("data", "", "directory for data and certificates")
	flag.Parse()
	if *data == "" {
		log.Fatal("api-oracle: -data is required: a directory for data and certificates")
	}
	if err := run(*data); err != nil {
		log.Fatalf("api-oracle: %v", err)
	}
}

func run(data string) error {
	diary, err := os.Create(filepath.Join(data, "log"))
	if err != nil {
		return err
	}
	defer diary.Close()
	klog.LogToStderr(false)
	klog.SetOutput(diary)
	store, err := startEtcd(filepath.Join(data, "etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer store.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	go sayWhenReady(ctx, "https://"+listener.Addr().String())
	return serve(ctx, data, "http://"+store.Clients[0].Addr().String(), listener)
}

// startEtcd starts a store of one member that does not wait for the disk: what it holds dies with it.
func startEtcd(data string) (*embed.Etcd, error) {
	anyPort := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config := embed.NewConfig()
	config.Dir = data
	config.LogLevel = "error"
	config.UnsafeNoFsync = true
	config.ListenClientUrls, config.AdvertiseClientUrls = anyPort, anyPort
	config.ListenPeerUrls, config.AdvertisePeerUrls = anyPort, anyPort
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	store, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	<-store.Server.ReadyNotify()
	return store, nil
}

func serve(ctx context.Context, data, store string, listener net.Listener) error {
	kubeconfig := filepath.Join(data, "nowhere.json")
	if err := os.WriteFile(kubeconfig, []byte(nowhere), 0o600); err != nil {
		return err
	}
	o := options.NewCustomResourceDefinitionsServerOptions(os.Stderr, os.Stderr)
	flags := pflag.NewFlagSet("api-oracle", pflag.ContinueOnError)
	o.AddFlags(flags)
	err := flags.Parse([]string{
		"--etcd-servers", store,
		"--cert-dir", data,
		"--kubeconfig", kubeconfig,
		"--enable-priority-and-fairness=false",
		// These ask a core API; there is none.
		"--disable-admission-plugins",
		"NamespaceLifecycle,MutatingAdmissionWebhook,ValidatingAdmissionWebhook,ValidatingAdmissionPolicy,MutatingAdmissionPolicy",
	})
	if err != nil {
		return err
	}
	o.RecommendedOptions.Authentication = nil
	o.RecommendedOptions.Authorization = nil
	o.RecommendedOptions.SecureServing.Listener = listener
	if err := o.ServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	if err := o.Complete(); err != nil {
		return err
	}
	config, err := o.Config()
	if err != nil {
		return err
	}
	server, err := config.Complete().New(genericapiserver.NewEmptyDelegate())
	if err != nil {
		return err
	}
	return server.GenericAPIServer.PrepareRun().RunWithContext(ctx)
}

// sayWhenReady asks the server itself (not /readyz, which waits for the core API that is nowhere).
func sayWhenReady(ctx context.Context, address string) {
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(askEvery) {
		answer, err := client.Get(address + "/healthz")
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			fmt.Println("serving", address)
			return
		}
	}
	log.Printf("api-oracle: not ready within %s", readyWithin)
}

// Knative's own ends of the load reports, for tests of ours: what its activator sends with, and what its autoscaler takes.
//
//	knative-stats send ws://HOST:PORT NAMESPACE REVISION CONCURRENCY    until its input ends
//	knative-stats serve HOST:PORT                                       a line of JSON for each message
package main

import (
	"encoding/json"
	"io"
	"os"
	"strconv"
	"time"

	gorilla "github.com/gorilla/websocket"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/websocket"

	"knative.dev/serving/pkg/activator"
	"knative.dev/serving/pkg/autoscaler/metrics"
	"knative.dev/serving/pkg/autoscaler/statserver"
)

const period = 100 * time.Millisecond

var _ activator.RawSender = (*websocket.ManagedConnection)(nil)

func main() {
	log := zap.NewNop().Sugar()
	switch os.Args[1] {
	case "send":
		send(log, os.Args[2], os.Args[3:])
	case "serve":
		serve(log, os.Args[2])
	}
}

func send(log *zap.SugaredLogger, url string, words []string) {
	load, err := strconv.ParseFloat(words[2], 64)
	if err != nil {
		panic(err)
	}
	connection := websocket.NewDurableSendingConnection(url, log)
	defer connection.Shutdown()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	message := metrics.StatMessage{
		Key:  types.NamespacedName{Namespace: words[0], Name: words[1]},
		Stat: metrics.Stat{PodName: "knative-activator", AverageConcurrentRequests: load, RequestCount: load},
	}
	for {
		wire := metrics.ToWireStatMessages([]metrics.StatMessage{message})
		body, err := wire.Marshal()
		if err != nil {
			panic(err)
		}
		// Not yet connected, or not any more: the next one may get through.
		_ = connection.SendRaw(gorilla.BinaryMessage, body)
		select {
		case <-ended:
			return
		case <-time.After(period):
		}
	}
}

func serve(log *zap.SugaredLogger, address string) {
	messages := make(chan metrics.StatMessage)
	server := statserver.New(address, messages, log, nil)
	go func() { _ = server.ListenAndServe() }()
	out := json.NewEncoder(os.Stdout)
	for message := range messages {
		line := map[string]any{
			"namespace": message.Key.Namespace, "name": message.Key.Name, "pod": message.Stat.PodName,
			"concurrency": message.Stat.AverageConcurrentRequests, "requests": message.Stat.RequestCount,
		}
		if err := out.Encode(line); err != nil {
			return
		}
	}
}

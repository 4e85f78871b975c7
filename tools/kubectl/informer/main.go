// Command informer prints what an informer of client-go sees of the ConfigMaps of a namespace:
//
//	informer KUBECONFIG NAMESPACE
//
// "synced A B" once its list is whole, with the names in order, then "added", "updated" or "deleted" and a name for
// each change. It ends with its standard input.
package main

import (
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	if err != nil {
		panic(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		panic(err)
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(os.Args[2]))
	informer := factory.Core().V1().ConfigMaps().Informer()
	factory.Start(stop)
	if !cache.WaitForCacheSync(stop, informer.HasSynced) {
		return
	}
	tell := func(what string, object any) {
		if gone, is := object.(cache.DeletedFinalStateUnknown); is {
			object = gone.Obj
		}
		fmt.Println(what, object.(*corev1.ConfigMap).Name)
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, isInInitialList bool) {
			if !isInInitialList {
				tell("added", object)
			}
		},
		UpdateFunc: func(_, object any) { tell("updated", object) },
		DeleteFunc: func(object any) { tell("deleted", object) },
	})
	if err != nil {
		panic(err)
	}
	// Only now: what changes behind "synced" is told as a change, and never taken for a part of the list.
	names := informer.GetStore().ListKeys()
	sort.Strings(names)
	fmt.Println("synced", strings.Join(names, " "))
	<-stop
}

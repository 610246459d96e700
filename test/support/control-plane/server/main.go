// The control plane of the tests: etcd, kube-apiserver, kube-controller-manager and kubectl in one binary.
//
// The first argument, or the name the binary was called by, chooses the program. The servers end when their
// standard input ends, so that whoever started them takes them along even when it is killed.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd/util"

	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	program := filepath.Base(os.Args[0])
	if program != "kubectl" {
		if len(os.Args) < 2 {
			fmt.Fprintln(os.Stderr, "usage: controlplane etcd|kube-apiserver|kube-controller-manager|kubectl [flags]")
			os.Exit(2)
		}
		program = os.Args[1]
		os.Args = append([]string{program}, os.Args[2:]...)
	}

	switch program {
	case "etcd":
		go terminateAtEndOfInput()
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		go terminateAtEndOfInput()
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		go terminateAtEndOfInput()
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			util.CheckErr(err)
		}
	default:
		fmt.Fprintf(os.Stderr, "controlplane: no such program: %s\n", program)
		os.Exit(2)
	}
}

// terminateAtEndOfInput sends this process the signal on which each of the servers shuts down in order. It does not wait
// for long: an API server whose etcd went at the same moment would try for a minute.
func terminateAtEndOfInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	time.Sleep(3 * time.Second)
	os.Exit(1)
}

// The programs of the test guest, written from the reference (hcs-runtime F): one static binary under three names.
//
//	/init             prepares the machine, seeds the random pool, runs the command and reaps
//	/bin/vsockexec    gives a program's output to a port of the host
//	/bin/gcs          the guest service: answers the host's bridge
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	programs := map[string]func([]string) int{"init": runInit, "vsockexec": runVsockExec, "gcs": runService}
	program, known := programs[filepath.Base(os.Args[0])]
	if !known {
		fmt.Fprintf(os.Stderr, "%s: unknown program\n", os.Args[0])
		os.Exit(127)
	}
	os.Exit(program(os.Args[1:]))
}

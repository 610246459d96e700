package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// runVsockExec gives a program's standard streams to ports of the host (hcs-runtime F.3): it becomes the program, or with
// -r stays beside it and relays, so that the program outlives a host that goes away.
func runVsockExec(arguments []string) int {
	ports, relays, command, ok := execOptions(arguments)
	if !ok || len(command) == 0 {
		complain("vsockexec: usage: vsockexec [-r] [-i port] [-o port] [-e port] [--] program args...")
		return 1
	}
	if relays {
		return relay(ports, command)
	}
	connections := map[uint32]*stream{}
	for descriptor, port := range ports {
		if port == 0 {
			continue
		}
		if connections[port] == nil {
			connection, err := dial(port)
			if err != nil {
				complain("%v", err)
				return 1
			}
			connections[port] = connection
		}
		if err := syscall.Dup3(int(connections[port].Fd()), descriptor, 0); err != nil {
			complain("vsockexec: %v", err)
			return 1
		}
	}
	err := syscall.Exec(command[0], command, os.Environ())
	complain("vsockexec: %s: %v", command[0], err)
	return 1
}

func execOptions(arguments []string) (ports [3]uint32, relays bool, command []string, ok bool) {
	streams := map[string]int{"-i": 0, "-o": 1, "-e": 2}
	for len(arguments) > 0 && strings.HasPrefix(arguments[0], "-") {
		option := arguments[0]
		arguments = arguments[1:]
		if option == "--" {
			break
		}
		if option == "-r" {
			relays = true
			continue
		}
		descriptor, known := streams[option]
		if !known || len(arguments) == 0 {
			return ports, relays, nil, false
		}
		port, err := strconv.ParseUint(arguments[0], 10, 32)
		if err != nil || port == 0 {
			return ports, relays, nil, false
		}
		ports[descriptor] = uint32(port)
		arguments = arguments[1:]
	}
	return ports, relays, arguments, true
}

func relay(ports [3]uint32, command []string) int {
	port := ports[2]
	if port == 0 {
		port = ports[1]
	}
	if port == 0 {
		complain("vsockexec: -r needs -o or -e")
		return 1
	}
	output, input, err := os.Pipe()
	if err != nil {
		complain("vsockexec: %v", err)
		return 1
	}
	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if ports[1] != 0 {
		child.Stdout = input
	}
	if ports[2] != 0 {
		child.Stderr = input
	}
	if err := child.Start(); err != nil {
		complain("vsockexec: %v", err)
		return 1
	}
	input.Close()
	forward(output, port)
	_ = child.Wait()
	return exitStatus(child.ProcessState.Sys().(syscall.WaitStatus))
}

// forward resumes at the first byte that no connection has taken.
func forward(output *os.File, port uint32) {
	block := make([]byte, 64<<10)
	var host *stream
	for {
		count, err := output.Read(block)
		for unsent := block[:count]; len(unsent) > 0; {
			for host == nil {
				if host, err = dial(port); err != nil {
					host = nil
					time.Sleep(100 * time.Millisecond)
				}
			}
			written, writeError := host.Write(unsent)
			unsent = unsent[written:]
			if writeError != nil {
				host.Close()
				host = nil
			}
		}
		if count == 0 {
			if host != nil {
				host.Close()
			}
			return
		}
	}
}

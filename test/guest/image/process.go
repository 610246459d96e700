package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync"
)

// processes of the VM itself (hcs-runtime E.6). One is forgotten once its end was told.
type processes struct {
	mutex   sync.Mutex
	running map[int]chan int
}

func newProcesses() *processes { return &processes{running: map[int]chan int{}} }

type parameters struct {
	CommandLine                                         string
	CommandArgs                                         []string
	WorkingDirectory                                    string
	Environment                                         map[string]string
	CreateStdInPipe, CreateStdOutPipe, CreateStdErrPipe bool
}

func (p *processes) execute(payload []byte) (map[string]any, error) {
	var request struct {
		Settings struct {
			ProcessParameters       string
			VsockStdioRelaySettings struct{ StdIn, StdOut, StdErr uint32 }
		}
	}
	if err := read(payload, &request); err != nil {
		return nil, err
	}
	var wanted parameters
	if err := json.Unmarshal([]byte(request.Settings.ProcessParameters), &wanted); err != nil {
		text := fmt.Sprintf("failed to unmarshal JSON for ProcessParameters %q: HRESULT 0xc037010d: %v", request.Settings.ProcessParameters, err)
		return nil, &failure{invalidJSON, text}
	}
	arguments := wanted.CommandArgs
	if wanted.CommandLine != "" {
		arguments = strings.Fields(wanted.CommandLine)
	}
	if len(arguments) == 0 {
		return nil, &failure{unspecified, "no command"}
	}
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Dir = wanted.WorkingDirectory
	for name, value := range wanted.Environment {
		command.Env = append(command.Env, name+"="+value)
	}
	ports := request.Settings.VsockStdioRelaySettings
	opened, err := connectStreams(command, wanted, ports.StdIn, ports.StdOut, ports.StdErr)
	if err == nil {
		err = startCommand(command)
	}
	if err != nil {
		closeAll(opened)
		return nil, err
	}
	return map[string]any{"ProcessId": p.watch(command, opened)}, nil
}

// connectStreams dials stdin, stdout and stderr in this order; the process has the sockets themselves.
func connectStreams(command *exec.Cmd, wanted parameters, stdin, stdout, stderr uint32) (opened []*stream, err error) {
	open := func(name string, isWanted bool, port uint32) (*stream, error) {
		if !isWanted {
			return nil, nil
		}
		connection, err := dialRetrying(port)
		if err != nil {
			return nil, fmt.Errorf("failed creating %s Connection: %w", name, err)
		}
		opened = append(opened, connection)
		return connection, nil
	}
	if connection, err := open("stdin", wanted.CreateStdInPipe, stdin); err != nil {
		return opened, err
	} else if connection != nil {
		command.Stdin = connection.File
	}
	if connection, err := open("stdout", wanted.CreateStdOutPipe, stdout); err != nil {
		return opened, err
	} else if connection != nil {
		command.Stdout = connection.File
	}
	if connection, err := open("stderr", wanted.CreateStdErrPipe, stderr); err != nil {
		return opened, err
	} else if connection != nil {
		command.Stderr = connection.File
	}
	return opened, nil
}

func startCommand(command *exec.Cmd) error {
	if err := command.Start(); err != nil {
		return fmt.Errorf("failed to call Start for external process: %w", err)
	}
	return nil
}

func (p *processes) watch(command *exec.Cmd, opened []*stream) int {
	ended := make(chan int, 1)
	id := command.Process.Pid
	p.mutex.Lock()
	p.running[id] = ended
	p.mutex.Unlock()
	go func() {
		_ = command.Wait()
		for _, connection := range opened {
			connection.shutRead()
		}
		closeAll(opened)
		// -1 for one that a signal ended, as the original reports it.
		ended <- command.ProcessState.ExitCode()
	}()
	return id
}

func (p *processes) wait(payload []byte) (map[string]any, error) {
	var request struct{ ProcessId uint32 }
	if err := read(payload, &request); err != nil {
		return nil, err
	}
	id := int(request.ProcessId)
	p.mutex.Lock()
	ended, known := p.running[id]
	p.mutex.Unlock()
	if !known {
		return nil, hresult(noSuchProcess)
	}
	code := <-ended
	ended <- code
	p.mutex.Lock()
	delete(p.running, id)
	p.mutex.Unlock()
	return map[string]any{"ExitCode": uint32(code)}, nil
}

func closeAll(streams []*stream) {
	for _, each := range streams {
		each.Close()
	}
}

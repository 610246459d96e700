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
	EmulateConsole                                      bool
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
	opened, err := connectStreams(wanted, ports.StdIn, ports.StdOut, ports.StdErr)
	var console *terminal
	if err == nil && wanted.EmulateConsole {
		console, err = openTerminal()
	}
	if err == nil {
		give(command, opened, console)
		err = startCommand(command)
	}
	if err != nil {
		if console != nil {
			console.close()
		}
		opened.close()
		return nil, err
	}
	if console != nil {
		console.relay(opened.stdin, opened.stdout)
	}
	return map[string]any{"ProcessId": p.watch(command, opened, console)}, nil
}

// stdio has nil for what was not asked for.
type stdio struct{ stdin, stdout, stderr *stream }

func (s stdio) all() (streams []*stream) {
	for _, each := range []*stream{s.stdin, s.stdout, s.stderr} {
		if each != nil {
			streams = append(streams, each)
		}
	}
	return streams
}

func (s stdio) close() {
	for _, each := range s.all() {
		each.Close()
	}
}

// give hands the process the sockets themselves, or a terminal.
func give(command *exec.Cmd, opened stdio, console *terminal) {
	if console != nil {
		console.give(command)
		return
	}
	if opened.stdin != nil {
		command.Stdin = opened.stdin.File
	}
	if opened.stdout != nil {
		command.Stdout = opened.stdout.File
	}
	if opened.stderr != nil {
		command.Stderr = opened.stderr.File
	}
}

// connectStreams dials stdin, stdout and stderr in this order.
func connectStreams(wanted parameters, stdin, stdout, stderr uint32) (opened stdio, err error) {
	open := func(to **stream, name string, isWanted bool, port uint32) {
		if err != nil || !isWanted {
			return
		}
		connection, failed := dialRetrying(port)
		if failed != nil {
			err = fmt.Errorf("failed creating %s Connection: %w", name, failed)
			return
		}
		*to = connection
	}
	open(&opened.stdin, "stdin", wanted.CreateStdInPipe, stdin)
	open(&opened.stdout, "stdout", wanted.CreateStdOutPipe, stdout)
	open(&opened.stderr, "stderr", wanted.CreateStdErrPipe, stderr)
	return opened, err
}

func startCommand(command *exec.Cmd) error {
	if err := command.Start(); err != nil {
		return fmt.Errorf("failed to call Start for external process: %w", err)
	}
	return nil
}

func (p *processes) watch(command *exec.Cmd, opened stdio, console *terminal) int {
	ended := make(chan int, 1)
	id := command.Process.Pid
	p.mutex.Lock()
	p.running[id] = ended
	p.mutex.Unlock()
	go func() {
		_ = command.Wait()
		if console != nil {
			console.end()
		}
		for _, connection := range opened.all() {
			connection.shutRead()
		}
		opened.close()
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

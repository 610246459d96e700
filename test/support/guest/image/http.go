package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const (
	httpPort   = 80
	anyContext = 0xffffffff
)

// listen binds a vsock port of the guest.
func listen(port uint32) (int, error) {
	descriptor, err := syscall.Socket(addressFamily, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	at := address{family: addressFamily, port: port, context: anyContext}
	if _, _, number := syscall.Syscall(syscall.SYS_BIND, uintptr(descriptor), uintptr(unsafe.Pointer(&at)), unsafe.Sizeof(at)); number != 0 {
		syscall.Close(descriptor)
		return -1, fmt.Errorf("bind: port %d: %w", port, number)
	}
	if err := syscall.Listen(descriptor, 128); err != nil {
		syscall.Close(descriptor)
		return -1, fmt.Errorf("listen: port %d: %w", port, err)
	}
	return descriptor, nil
}

// serveHTTP answers HTTP requests on a vsock port, as a program does to which users forward ports.
func serveHTTP() {
	descriptor, err := listen(httpPort)
	if err != nil {
		logLine("error", "no HTTP", map[string]any{"error": err.Error()})
		return
	}
	for {
		flags := uintptr(syscall.SOCK_CLOEXEC | syscall.SOCK_NONBLOCK)
		accepted, _, number := syscall.Syscall6(syscall.SYS_ACCEPT4, uintptr(descriptor), 0, 0, flags, 0, 0)
		if number == syscall.EINTR || number == syscall.ECONNABORTED {
			continue
		}
		if number != 0 {
			logLine("error", "no more HTTP", map[string]any{"error": number.Error()})
			return
		}
		go answerRequests(os.NewFile(accepted, "http"))
	}
}

// answerRequests serves one connection until its user ends it. A request with a body gets it back.
func answerRequests(connection *os.File) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		target, length, err := readHead(reader)
		if err != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(reader, body); err != nil {
			return
		}
		if length == 0 {
			body = []byte("Hello from the test guest: " + target + "\n")
		}
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(body))
		if _, err := connection.Write(append([]byte(head), body...)); err != nil {
			return
		}
	}
}

const mostBody = 1 << 20

// readHead reads a request up to its body, and returns its target and the length of the body.
func readHead(reader *bufio.Reader) (target string, length int, err error) {
	for first := true; ; first = false {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", 0, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return target, length, nil
		}
		if words := strings.Fields(line); first && len(words) > 1 {
			target = words[1]
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "content-length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > mostBody {
				return "", 0, fmt.Errorf("content-length %q", value)
			}
		}
	}
}

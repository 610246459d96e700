package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	addressFamily = 40 // AF_VSOCK
	hostContext   = 2
)

// address is the kernel's struct sockaddr_vm.
type address struct {
	family   uint16
	reserved uint16
	port     uint32
	context  uint32
	flags    uint8
	zero     [3]uint8
}

// stream is a connection to the host.
type stream struct{ *os.File }

// dial connects to a port of the host.
func dial(port uint32) (*stream, error) {
	descriptor, err := syscall.Socket(addressFamily, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	to := address{family: addressFamily, port: port, context: hostContext}
	if err := connect(descriptor, &to); err != nil {
		syscall.Close(descriptor)
		return nil, fmt.Errorf("connect: port %d: %w", port, err)
	}
	return &stream{os.NewFile(uintptr(descriptor), fmt.Sprintf("vsock:%d", port))}, nil
}

func connect(descriptor int, to *address) error {
	for {
		_, _, number := syscall.Syscall(syscall.SYS_CONNECT, uintptr(descriptor), uintptr(unsafe.Pointer(to)), unsafe.Sizeof(*to))
		if number == 0 || number == syscall.EISCONN {
			return nil
		}
		if number != syscall.EINTR {
			return number
		}
	}
}

// dialRetrying tries again on a time-out only, as a refusal is final (hcs-runtime E.6).
func dialRetrying(port uint32) (*stream, error) {
	var connection *stream
	err := error(syscall.ETIMEDOUT)
	for try := 0; try < 10; try++ {
		if connection, err = dial(port); err == nil || !isTimeout(err) {
			return connection, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, err
}

func isTimeout(err error) bool {
	number, is := err.(interface{ Unwrap() error })
	return is && number.Unwrap() == syscall.ETIMEDOUT
}

// shutRead ends the half of the stream that the host writes to.
func (s *stream) shutRead() { _ = syscall.Shutdown(int(s.Fd()), syscall.SHUT_RD) }

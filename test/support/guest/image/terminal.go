package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unsafe"
)

// A process of the background may keep a terminal open after the one that it was made for.
const terminalPatience = time.Second

// terminal is a pseudo-terminal whose one end a process has, and whose other end is relayed (hcs-runtime E.6).
type terminal struct {
	host, guest *os.File
	// Closed when all that was written to it is on its way.
	drained chan struct{}
}

// openTerminal makes one of 0×0, as the original does: it ignores the size that the host sends.
func openTerminal() (*terminal, error) {
	host, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	var locked int32
	var number uint32
	err = control(host, syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	if err == nil {
		err = control(host, syscall.TIOCGPTN, unsafe.Pointer(&number))
	}
	var guest *os.File
	if err == nil {
		guest, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		host.Close()
		return nil, err
	}
	return &terminal{host, guest, make(chan struct{})}, nil
}

// give makes it the controlling terminal of the command, which is the first of its session.
func (t *terminal) give(command *exec.Cmd) {
	command.Stdin, command.Stdout, command.Stderr = t.guest, t.guest, t.guest
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
}

// relay begins once the command has the terminal. A stream that is nil was not asked for.
func (t *terminal) relay(input, output *stream) {
	t.guest.Close()
	if input != nil {
		go io.Copy(t.host, input.File)
	}
	go func() {
		defer close(t.drained)
		var to io.Writer = io.Discard
		if output != nil {
			to = output.File
		}
		// Ends with EIO when nobody has the other end any more.
		_, _ = io.Copy(to, t.host)
	}()
}

func (t *terminal) end() {
	select {
	case <-t.drained:
	case <-time.After(terminalPatience):
	}
	t.close()
}

func (t *terminal) close() {
	t.guest.Close()
	t.host.Close()
}

// control is ioctl that leaves the file as the runtime polls it, which Fd would not.
func control(file *os.File, request uintptr, argument unsafe.Pointer) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var number syscall.Errno
	err = raw.Control(func(descriptor uintptr) {
		_, _, number = syscall.Syscall(syscall.SYS_IOCTL, descriptor, request, uintptr(argument))
	})
	if err == nil && number != 0 {
		err = number
	}
	return err
}

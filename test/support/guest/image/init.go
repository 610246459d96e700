package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// mounts in the order of hcs-runtime F.2, as far as this guest needs them.
var mounts = []struct{ kind, at, options string }{
	{"devtmpfs", "/dev", ""},
	{"proc", "/proc", ""},
	{"tmpfs", "/run", "mode=0755"},
	{"tmpfs", "/tmp", ""},
	{"tmpfs", "/dev/shm", ""},
	{"devpts", "/dev/pts", ""},
	{"sysfs", "/sys", ""},
}

// runInit is process 1: its end is the end of the machine.
func runInit(arguments []string) int {
	// Caught, not ignored: what is ignored stays so in every program that is started.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	entropyPort, command, err := initOptions(arguments)
	if err != nil {
		complain("init: %v", err)
		return 1
	}
	for _, each := range mounts {
		_ = os.MkdirAll(each.at, 0o755)
		if err := syscall.Mount(each.kind, each.at, each.kind, 0, each.options); err != nil && err != syscall.EBUSY {
			complain("mount %s: %v", each.at, err)
		}
	}
	_ = os.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	loadModules()
	if entropyPort != 0 {
		seed(entropyPort)
	}
	return runAndReap(command)
}

func initOptions(arguments []string) (uint32, []string, error) {
	port := uint64(0)
	for len(arguments) > 0 && strings.HasPrefix(arguments[0], "-") {
		switch option := arguments[0]; {
		case option == "-w":
			arguments = arguments[1:]
		case option == "-e" && len(arguments) > 1:
			var err error
			if port, err = strconv.ParseUint(arguments[1], 10, 32); err != nil || port == 0 {
				return 0, nil, fmt.Errorf("invalid entropy port %q", arguments[1])
			}
			arguments = arguments[2:]
		default:
			return 0, nil, fmt.Errorf("invalid option %q", option)
		}
	}
	if len(arguments) == 0 {
		arguments = []string{"/bin/gcs", "-loglevel", "debug"}
	}
	return uint32(port), arguments, nil
}

const loadModule = 313 // finit_module, amd64

// loadModules loads what /lib/modules/order lists, which the image's builder wrote.
func loadModules() {
	order, err := os.ReadFile("/lib/modules/order")
	if err != nil {
		return
	}
	for _, name := range strings.Fields(string(order)) {
		file, err := os.Open("/lib/modules/" + name)
		if err != nil {
			complain("module %s: %v", name, err)
			continue
		}
		none := []byte{0}
		_, _, number := syscall.Syscall(loadModule, file.Fd(), uintptr(unsafe.Pointer(&none[0])), 0)
		if number != 0 && number != syscall.EEXIST {
			complain("module %s: %v", name, number)
		}
		file.Close()
	}
}

// seed credits what the host sends until it ends the stream (hcs-runtime D.1). No failure of it is fatal.
func seed(port uint32) {
	host, err := dial(port)
	if err != nil {
		complain("entropy: failed to open vsock, skipping entropy seeding: %v", err)
		return
	}
	defer host.Close()
	pool, err := os.OpenFile("/dev/random", os.O_RDWR, 0)
	if err != nil {
		complain("entropy: %v", err)
		return
	}
	defer pool.Close()
	seeded := 0
	block := make([]byte, 4096)
	for {
		count, err := host.Read(block)
		if count > 0 {
			credit(pool, block[:count])
			seeded += count
		}
		if err == io.EOF || count == 0 {
			break
		}
		if err != nil {
			complain("entropy: %v", err)
			break
		}
	}
	_ = os.WriteFile("/run/entropy-bytes", []byte(strconv.Itoa(seeded)), 0o644)
}

func credit(pool *os.File, bytes []byte) {
	const addEntropy = 0x40085203 // RNDADDENTROPY
	var request struct {
		bits, size int32
		data       [4096]byte
	}
	request.bits, request.size = int32(8*len(bytes)), int32(len(bytes))
	copy(request.data[:], bytes)
	if _, _, number := syscall.Syscall(syscall.SYS_IOCTL, pool.Fd(), addEntropy, uintptr(unsafe.Pointer(&request))); number != 0 {
		complain("entropy: %v", number)
	}
}

func runAndReap(command []string) int {
	child := exec.Command(command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		complain("init: %v", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 1
		}
		if pid == child.Process.Pid {
			return exitStatus(status)
		}
	}
}

func exitStatus(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func complain(format string, values ...any) { fmt.Fprintf(os.Stderr, format+"\n", values...) }

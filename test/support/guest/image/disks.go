package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// mappedDisk is a disk on the first SCSI controller, and where it is mounted.
type mappedDisk struct {
	MountPath string
	Lun       uint8
	ReadOnly  bool
}

// changeDisk deletes and waits as the original does (hcs-runtime E.6): a mount that fails takes its target along, an
// unmount takes the folder along whether or not anything was mounted, and a device that is not there is waited for
// without limit, before the type of the request is looked at.
func changeDisk(kind string, settings json.RawMessage) (map[string]any, error) {
	var disk mappedDisk
	if err := read(settings, &disk); err != nil {
		return nil, err
	}
	device := devicePath(disk.Lun)
	if kind == "Remove" {
		return map[string]any{}, unmount(disk.MountPath)
	}
	return map[string]any{}, mount(device, disk)
}

func scsiDevice(lun uint8) string { return fmt.Sprintf("/sys/bus/scsi/devices/*:0:0:%d", lun) }

func devicePath(lun uint8) string {
	for {
		found, _ := filepath.Glob(scsiDevice(lun) + "/block/*")
		for _, each := range found {
			device := "/dev/" + filepath.Base(each)
			// Its name is there before it can be used.
			if opened, err := os.Open(device); err == nil {
				opened.Close()
				return device
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func mount(device string, disk mappedDisk) (err error) {
	if err := os.MkdirAll(disk.MountPath, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(disk.MountPath)
		}
	}()
	flags, data := uintptr(0), ""
	if disk.ReadOnly {
		flags, data = syscall.MS_RDONLY, "noload"
	}
	if err := syscall.Mount(device, disk.MountPath, "ext4", flags, data); err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	return nil
}

func unmount(path string) error {
	for turn := 0; turn < 5; turn++ {
		err := syscall.Unmount(path, 0)
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("failed to unmount %s: %w", path, err)
		}
	}
	return os.RemoveAll(path)
}

// unplug makes the kernel forget a device; one that is not there is no failure.
func unplug(settings json.RawMessage) (map[string]any, error) {
	var disk mappedDisk
	if err := read(settings, &disk); err != nil {
		return nil, err
	}
	found, _ := filepath.Glob(scsiDevice(disk.Lun) + "/delete")
	for _, each := range found {
		if err := os.WriteFile(each, []byte("1\n"), 0); err != nil {
			return nil, err
		}
	}
	return map[string]any{}, nil
}

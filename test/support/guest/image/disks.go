package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// mappedDisk is a disk on the first SCSI controller, and where it is mounted.
type mappedDisk struct {
	MountPath        string
	Lun              uint8
	ReadOnly         bool
	Filesystem       string
	EnsureFilesystem bool
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
	filesystem, err := preparedFilesystem(device, disk)
	if err != nil {
		return err
	}
	flags, data := uintptr(0), ""
	if disk.ReadOnly {
		flags, data = syscall.MS_RDONLY, "noload"
	}
	if err := syscall.Mount(device, disk.MountPath, filesystem, flags, data); err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	return nil
}

// preparedFilesystem is what to mount. The original recognises ext4 and its ancestors alone, by their magic, and
// formats an ensured disk that holds none of them. This guest makes ext2, which the driver of ext4 mounts.
func preparedFilesystem(device string, disk mappedDisk) (string, error) {
	isExt4, err := hasExt4(device)
	if err != nil {
		return "", err
	}
	if disk.Filesystem == "" {
		if !isExt4 {
			return "", errors.New("getting device's filesystem: could not get device filesystem type")
		}
		return "ext4", nil
	}
	if disk.EnsureFilesystem && disk.Filesystem != "ext4" {
		return "", fmt.Errorf("unsupported filesystem %s requested for device", disk.Filesystem)
	}
	if disk.EnsureFilesystem && !isExt4 {
		if said, err := exec.Command("/bin/busybox", "mke2fs", device).CombinedOutput(); err != nil {
			return "", fmt.Errorf("mke2fs: %w: %s", err, said)
		}
	}
	return disk.Filesystem, nil
}

// hasExt4 looks at the magic of the superblock, which ext2 and ext3 have as well.
func hasExt4(device string) (bool, error) {
	opened, err := os.Open(device)
	if err != nil {
		return false, err
	}
	defer opened.Close()
	magic := make([]byte, 2)
	if _, err := opened.ReadAt(magic, 1024+0x38); err != nil {
		return false, err
	}
	return magic[0] == 0x53 && magic[1] == 0xef, nil
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

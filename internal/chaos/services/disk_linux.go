package services

import (
	"fmt"
	"syscall"
)

// mountTiny mounts a file system in memory of the size given, bytes. Only root may.
func mountTiny(dir string, size int) error {
	return syscall.Mount("nudged-chaos", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("size=%d,mode=0700", size))
}

func unmountTiny(dir string) { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }

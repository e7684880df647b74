package services

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// unsynced is how far back the end of an append-only file may not have reached the
// disk: with appendfsync everysec Redis lets two seconds go by before it waits for
// the disk.
const unsynced = 2500 * time.Millisecond

// watch notes how the append-only file grows.
func (s *redisServer) watch(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		name, bytes, err := s.appendOnly()
		if err != nil {
			continue // it is being made anew
		}
		now := time.Now()
		s.mu.Lock()
		s.sizes = append(s.sizes, fileSize{now, name, bytes})
		s.sizes = slices.DeleteFunc(s.sizes, func(f fileSize) bool { return now.Sub(f.at) > unsynced })
		s.mu.Unlock()
	}
}

// appendOnly finds the file that is being appended to.
func (s *redisServer) appendOnly() (name string, bytes int64, err error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil {
		return "", 0, err
	}
	newest := -1
	for _, f := range files {
		var n int
		if _, err := fmt.Sscanf(strings.TrimPrefix(filepath.Base(f), "appendonly.aof."), "%d", &n); err == nil && n > newest {
			newest, name = n, f
		}
	}
	if newest < 0 {
		return "", 0, fmt.Errorf("no append-only file in %s", s.dir)
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", 0, err
	}
	return name, info.Size(), nil
}

// tear cuts the append-only file somewhere in what was written to it last. The
// server is down.
func (s *redisServer) tear(dice *rand.Rand) (lost int64, err error) {
	name, bytes, err := s.appendOnly()
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	from := bytes
	for _, f := range s.sizes {
		if f.name == name {
			from = min(from, f.bytes)
		}
	}
	s.mu.Unlock()
	if from == bytes {
		return 0, nil
	}
	lost = 1 + dice.Int64N(bytes-from)
	if err := os.Truncate(name, bytes-lost); err != nil {
		return 0, fmt.Errorf("tear the append-only file: %w", err)
	}
	return lost, nil
}

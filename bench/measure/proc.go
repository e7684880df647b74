package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of CPU times in /proc: USER_HZ, 100 on every
// architecture that Go runs on.
const ticksPerSecond = 100

// CPUSeconds returns the user and system time that a running process has used,
// with that of its children that have ended (Redis saves in one). The
// resolution is 10 ms. See proc(5), /proc/pid/stat.
func CPUSeconds(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	ticks, err := parseStat(raw)
	if err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return float64(ticks) / ticksPerSecond, nil
}

// parseStat adds utime, stime, cutime and cstime, fields 14 to 17. The command
// in field 2 may hold blanks and parentheses; the last ) ends it.
func parseStat(raw []byte) (int64, error) {
	end := bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[end+1:]))
	if end < 0 || len(fields) < 15 {
		return 0, fmt.Errorf("not a stat line: %.80q", raw)
	}
	var sum int64
	for _, f := range fields[11:15] { // field 3 is fields[0]
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("not a stat line: %.80q", raw)
		}
		sum += n
	}
	return sum, nil
}

// PeakRSS returns the largest resident memory of a running process in bytes,
// since its start or since ResetPeakRSS.
func PeakRSS(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("peak memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("peak memory of process %d: %w", pid, err)
			}
			return kb * 1024, nil
		}
	}
	return 0, fmt.Errorf("peak memory of process %d: its status has no VmHWM", pid)
}

// ResetPeakRSS lets PeakRSS begin anew. It needs the rights of the process's owner.
func ResetPeakRSS(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak memory of process %d: %w", pid, err)
	}
	return nil
}

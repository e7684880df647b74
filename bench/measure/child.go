// Package measure takes the figures: CPU time and memory of processes, memory
// of Redis by kind of key.
package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// reportFD is where a launcher writes its Usage.
const reportFD = 3

// Usage is what a finished process has used.
type Usage struct {
	WallSeconds float64 `json:"wall_s"` // from its start to its end
	CPUSeconds  float64 `json:"cpu_s"`  // user and system
	PeakRSS     int64   `json:"peak_rss_bytes"`
	ExitCode    int     `json:"exit_code"` // -1: ended by a signal
}

// Child is a process that runs under a launcher: this very binary, started a
// second time with little memory of its own. Linux counts the memory of the
// process that forked in the peak of what it starts, so a process started by
// the benchmark itself would show the benchmark's memory.
type Child struct {
	launcher *exec.Cmd
	report   *os.File
}

// Start starts argv under a launcher, which is self with launchArgs in front.
// When ctx ends, the process is killed.
func Start(ctx context.Context, self string, launchArgs, argv []string, stdout, stderr io.Writer) (*Child, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	cmd := exec.CommandContext(ctx, self, append(append([]string(nil), launchArgs...), argv...)...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = stdout, stderr, []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return &Child{launcher: cmd, report: r}, nil
}

// Stop asks the process to end, as an operator would: with SIGTERM.
func (c *Child) Stop() error { return c.launcher.Process.Signal(syscall.SIGTERM) }

// Wait waits for the end of the process. An exit code other than 0 is no error.
func (c *Child) Wait() (Usage, error) {
	var u Usage
	decodeErr := json.NewDecoder(c.report).Decode(&u)
	c.report.Close()
	err := c.launcher.Wait()
	if err = errors.Join(decodeErr, err); err != nil {
		return u, fmt.Errorf("%s gave no figures: %w", strings.Join(c.launcher.Args, " "), err)
	}
	return u, nil
}

// Run starts argv and waits for it.
func Run(ctx context.Context, self string, launchArgs, argv []string, stdout, stderr io.Writer) (Usage, error) {
	c, err := Start(ctx, self, launchArgs, argv, stdout, stderr)
	if err != nil {
		return Usage{}, err
	}
	return c.Wait()
}

// Launch is the body of a launcher: it runs argv with the launcher's own output,
// passes SIGTERM and SIGINT on, and reports its Usage to the process that
// started the launcher.
func Launch(argv []string) error {
	if len(argv) == 0 {
		return errors.New("nothing to launch")
	}
	// Pdeathsig follows the thread that forked, so that must last.
	runtime.LockOSThread()
	syscall.CloseOnExec(reportFD)
	report := os.NewFile(reportFD, "report")
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)

	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("launch %s: %w", argv[0], err)
	}
	go func() {
		for s := range signals {
			// A process that has just ended cannot be told; Wait knows it.
			_ = cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("launch %s: %w", argv[0], err)
	}
	u := Usage{
		WallSeconds: time.Since(start).Seconds(),
		CPUSeconds:  (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
		ExitCode:    cmd.ProcessState.ExitCode(),
	}
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.PeakRSS = ru.Maxrss * 1024
	}
	if err := json.NewEncoder(report).Encode(u); err != nil {
		return fmt.Errorf("report the usage of %s: %w", argv[0], err)
	}
	return report.Close()
}

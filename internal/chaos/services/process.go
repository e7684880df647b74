// Package services runs brokers and Redis servers of its own on 127.0.0.1, as
// processes that can be killed, paused and started again, and proxies before them
// that delay and cut connections.
package services

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a child process that is started again and again with the same
// arguments.
type Process struct {
	Name string
	Log  string // file that its output is appended to
	Args []string
	Env  []string // nil: ours

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended
}

// Start starts it. It must not be running.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		return fmt.Errorf("%s is running already", p.Name)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, p.Env
	cmd.Dir = filepath.Dir(p.Log) // it exists as long as the process does; Java starts nowhere else
	// Ended with us, whatever becomes of us, and deaf to a terminal's interrupt: who
	// tidies up decides when.
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait() // the state tells how it ended
		close(done)
	}()
	return nil
}

// runs says whether it is running; p.mu is held.
func (p *Process) runs() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Running says whether it is.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs()
}

// Signal sends a signal; to one that has ended it does nothing.
func (p *Process) Signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		_ = p.cmd.Process.Signal(s) // it may have ended just now
	}
}

// Done is closed once the process started last has ended.
func (p *Process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		ended := make(chan struct{})
		close(ended)
		return ended
	}
	return p.done
}

// Ended says how the process started last has ended; call it after Done.
func (p *Process) Ended() *os.ProcessState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState
}

// Kill ends it as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.Done()
}

// Terminate asks it to end and waits; after the patience it is killed.
func (p *Process) Terminate(patience time.Duration) (gently bool) {
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.Done():
		return true
	case <-time.After(patience):
		p.Kill()
		return false
	}
}

// Tail returns the end of its log.
func (p *Process) Tail(lines int) string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// await repeats a check until it succeeds, the process has ended, or the time is
// over.
func (p *Process) await(ctx context.Context, what string, patience time.Duration, check func(context.Context) error) error {
	ended := p.Done()
	err := Eventually(ctx, patience, func(ctx context.Context) error {
		select {
		case <-ended:
			return errEnded
		default:
			return check(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %s: %w; the end of its log:\n%s", p.Name, what, err, p.Tail(25))
	}
	return nil
}

var errEnded = errors.New("the process has ended")

// Eventually repeats a check until it succeeds or the time is over; it returns the
// last error then.
func Eventually(ctx context.Context, patience time.Duration, check func(context.Context) error) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := check(try)
		cancel()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-limit.C:
			return fmt.Errorf("not within %s: %w", patience, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// freePorts returns ports that nothing listens on, all different. They lie below the
// range that outgoing connections take theirs from, so that none of those takes one
// while its server is down.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports, nil
		}
		port := 20_000 + rand.IntN(12_000)
		l, err := net.Listen("tcp", loopback(port))
		if err != nil || slices.Contains(ports, port) {
			continue
		}
		l.Close()
		ports = append(ports, port)
	}
	return nil, errors.New("no free port found between 20000 and 32000 on 127.0.0.1")
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

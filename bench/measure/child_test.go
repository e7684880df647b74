package measure

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// The test binary is launcher and child in one, as the benchmark's is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "measured":
			if err := Launch(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "child":
			os.Exit(child(os.Args[2]))
		}
	}
	os.Exit(m.Run())
}

// child burns CPU, or fills memory, or waits for SIGTERM to kill it.
func child(task string) int {
	switch task {
	case "burn":
		x := 0
		for start := time.Now(); time.Since(start) < 200*time.Millisecond; {
			x++
		}
		return min(x, 0)
	case "fill":
		debug.SetGCPercent(-1)
		fmt.Println(touch(64 << 20))
		return 0
	case "wait":
		fmt.Println("ready")
		select {} // ended by the default action of SIGTERM
	default:
		code, err := strconv.Atoi(task)
		if err != nil {
			return 99
		}
		return code
	}
}

func touch(n int) int {
	b := make([]byte, n)
	for i := 0; i < n; i += 4096 {
		b[i] = 1
	}
	return int(b[n/2])
}

func runChild(t *testing.T, task string) (Usage, string) {
	t.Helper()
	var out bytes.Buffer
	u, err := Run(context.Background(), os.Args[0], []string{"measured"}, []string{os.Args[0], "child", task}, &out, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return u, out.String()
}

func TestChildCPU(t *testing.T) {
	u, _ := runChild(t, "burn")
	if u.CPUSeconds < 0.01 || u.WallSeconds < 0.2 {
		t.Errorf("busy for 200 ms: %.3f s CPU, %.3f s in all", u.CPUSeconds, u.WallSeconds)
	}
}

// The memory of the process that measures must not show in what it measures.
func TestChildMemoryIsItsOwn(t *testing.T) {
	const mine = 256 << 20
	ballast := make([]byte, mine)
	for i := 0; i < mine; i += 4096 {
		ballast[i] = 1
	}
	small, _ := runChild(t, "0")
	large, _ := runChild(t, "fill")
	if int(ballast[4096]) != 1 || small.PeakRSS >= mine/2 {
		t.Errorf("a child that does nothing is said to have used %d MiB beside a parent of 256 MiB", small.PeakRSS>>20)
	}
	if grown := large.PeakRSS - small.PeakRSS; grown < 48<<20 {
		t.Errorf("a child that fills 64 MiB shows only %d MiB more than one that does nothing", grown>>20)
	}
}

func TestChildExitCode(t *testing.T) {
	if u, _ := runChild(t, "7"); u.ExitCode != 7 {
		t.Errorf("exit code %d, want 7", u.ExitCode)
	}
}

func TestChildIsStopped(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Start(context.Background(), os.Args[0], []string{"measured"}, []string{os.Args[0], "child", "wait"}, w, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("ready"))
	if _, err := r.Read(line); err != nil || string(line) != "ready" {
		t.Fatalf("child said %q: %v", line, err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	u, err := c.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if u.ExitCode != -1 {
		t.Errorf("exit code %d, want -1 for the end by a signal", u.ExitCode)
	}
}

func TestChildThatCannotStart(t *testing.T) {
	var stderr bytes.Buffer
	_, err := Run(context.Background(), os.Args[0], []string{"measured"}, []string{"/nonexistent/program"}, os.Stdout, &stderr)
	if err == nil || !bytes.Contains(stderr.Bytes(), []byte("/nonexistent/program")) {
		t.Errorf("error %v, stderr %q; want an error, and the program named", err, stderr.String())
	}
}

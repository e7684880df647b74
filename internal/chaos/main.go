// Command chaos runs nudged on real brokers and a real Redis, lets go wrong what can
// go wrong, and proves from what is visible in Kafka that nothing was lost and
// nothing is there twice. docs/chaos.md tells of it; `make chaos` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9/logging"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute returns the exit code: 0 clean, 1 something was lost, repeated or wrong, 2
// wrong use, 3 the run could not be carried out.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	logging.Disable() // of Redis: that it is away is no news here
	o, err := parse(args, errs)
	if err != nil {
		return 2
	}
	scratch, err := os.MkdirTemp("", "nudged-chaos-program-")
	if err == nil {
		defer os.RemoveAll(scratch)
		o.program = filepath.Join(scratch, "nudged")
		err = build(ctx, o.root, o.program)
	}
	if err != nil {
		fmt.Fprintln(errs, err)
		return 3
	}
	clean, err := runOnce(ctx, o, out)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(errs, "chaos: interrupted; nothing was checked")
		return 3
	case err != nil:
		fmt.Fprintln(errs, err)
		return 3
	case !clean:
		return 1
	}
	return 0
}

func parse(args []string, errs io.Writer) (options, error) {
	var o options
	var clocks, only, without string
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()%1_000_000), "of events and faults; default: another one each time")
	f.DurationVar(&o.duration, "duration", 2*time.Minute, "how long things go wrong")
	f.StringVar(&clocks, "clocks", "wall,event", "the clocks to run on, at the same time")
	f.IntVar(&o.brokers, "brokers", 3, "1 or 3")
	f.IntVar(&o.processes, "processes", 2, "of nudged, for each clock; one more joins and leaves")
	f.StringVar(&only, "only", "", "these faults, by name, separated by commas; die, kafka, redis for all of these")
	f.StringVar(&without, "without", "", "all faults but these")
	f.BoolVar(&o.keep, "keep", false, "keep logs and data also of a clean run")
	f.StringVar(&o.root, "root", ".", "folder of the module")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	list := func(text string) []string {
		return slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })
	}
	o.clocks, o.only, o.without = list(clocks), list(only), list(without)
	for _, c := range o.clocks {
		if c != "wall" && c != "event" {
			return o, usage(errs, "-clocks: %q is neither wall nor event", c)
		}
	}
	if name, ok := unknownFault(append(slices.Clone(o.only), o.without...)); ok {
		return o, usage(errs, "no fault is called %q; there are %s, die:STEP; and %s for all of them", name,
			strings.Join(faultNames, ", "), strings.Join(faultGroups, ", "))
	}
	if len(o.clocks) == 0 || o.brokers != 1 && o.brokers != 3 || o.processes < 1 || o.duration <= 0 {
		return o, usage(errs, "-clocks, -brokers (1 or 3), -processes and -duration must say something")
	}
	return o, nil
}

func usage(errs io.Writer, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	fmt.Fprintln(errs, err)
	return err
}

// build builds nudged with what lets it die on order.
func build(ctx context.Context, root, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "chaos", "-o", program, "./cmd/nudged")
	cmd.Dir = root
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build of cmd/nudged: %w\n%s", err, text)
	}
	return nil
}

// runOnce plays one run and prints its report.
func runOnce(ctx context.Context, o options, out io.Writer) (clean bool, err error) {
	s, err := open(ctx, o, out)
	defer func() { s.close(err != nil && !errors.Is(err, context.Canceled) || err == nil && !clean) }()
	if err != nil {
		return false, err
	}
	r, err := s.run(ctx)
	if err != nil {
		return false, fmt.Errorf("the run with seed %d could not be carried out: %w; its logs: %s", o.seed, err, s.logs())
	}
	r.print(out)
	return r.clean(), nil
}

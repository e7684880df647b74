// Command bench measures nudged on a real Kafka and a real Redis, and verifies
// every send it makes. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/nudged/nudged/bench/measure"
)

const usage = `usage: bench COMMAND [flags]     (bench COMMAND -h lists the flags)

  run      load the workload, run the floors and nudged, verify, print the figures; the default
  live     latency from event to visible command, at a steady rate
  timers   millions of timers pending: memory through the backlog that sets them, start-up, how late
           timers are, many at once, many overdue
  start    its first part: start-up with many users
  tracing  CPU per event with tracing off, unsampled and sampled, against none
  verify   hold the topics of a run against the oracle
  expect   print what the workload owes; needs no services

The services are named by NUDGED_TEST_KAFKA and NUDGED_TEST_REDIS (host:port), their
processes by NUDGED_KAFKA_PID and NUDGED_REDIS_PID or KAFKA_PID and REDIS_PID.

  deploy/local/with-services go run ./bench run -nudged bin/nudged
`

// errVerification says that nudged's output is not what is owed; the findings
// have been printed.
var errVerification = errors.New("verification failed")

// errUsage is for calls that no run could answer; exit code 2.
type errUsage struct{ error }

// commands by name. The last three are how the benchmark starts itself, so that
// what they use is counted apart.
var commands = map[string]func(ctx context.Context, args []string, out io.Writer) error{
	"run":      runCommand,
	"live":     liveCommand,
	"timers":   timersCommand,
	"start":    startCommand,
	"tracing":  tracingCommand,
	"verify":   verifyCommand,
	"expect":   expectCommand,
	decodeName: decodeCommand,
	ctpName:    ctpCommand,
	measuredName: func(_ context.Context, args []string, _ io.Writer) error {
		return measure.Launch(args)
	},
}

func main() {
	ctx := context.Background()
	// A launcher passes signals on instead of heeding them.
	if len(os.Args) < 2 || os.Args[1] != measuredName {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
	}
	os.Exit(exitCode(dispatch(ctx, os.Args[1:], os.Stdout), os.Stderr))
}

func dispatch(ctx context.Context, args []string, out io.Writer) error {
	name := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name, args = args[0], args[1:]
	}
	if name == "help" {
		_, err := io.WriteString(out, usage)
		return err
	}
	command, ok := commands[name]
	if !ok {
		return errUsage{fmt.Errorf("there is no command %q\n\n%s", name, usage)}
	}
	return command(ctx, args, out)
}

// exitCode is 0 if all is well, 1 if something was found, 2 for wrong use.
func exitCode(err error, stderr io.Writer) int {
	var wrong errUsage
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
}

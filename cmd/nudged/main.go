// Command nudged is an event-streaming trigger processor: it reads what users do
// from Kafka and decides, per user and at the right moment, whether to nudge.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitProblems = 1
	exitUsage    = 2
)

// usageError is wrong use of a command.
type usageError struct{ error }

// errReported ends with problems that have been printed already.
var errReported = errors.New("problems were found")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "nudged",
		Short:         "Decide per user, exactly once and on time, whether to nudge",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.AddCommand(runCommand(), doctorCommand(), checkCommand(), testCommand(), backtestCommand(), explainCommand(), forgetCommand(), produceCommand(),
		generateCommand(), forwardCommand(), demoCommand(), reportCommand(), exportCommand(), planCommand(), funnelCommand(), schemaCommand(), healthCommand(), versionCommand())
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitProblems
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "nudged:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "nudged:", err)
	if isUnknownCommand(err) {
		return exitUsage
	}
	return exitProblems
}

func isUnknownCommand(err error) bool {
	return len(err.Error()) > 15 && err.Error()[:15] == "unknown command"
}

// arguments makes wrong numbers of arguments wrong use.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
		}
		return nil
	}
}

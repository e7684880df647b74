package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
)

func forgetCommand() *cobra.Command {
	var f app.Forget
	var configFile, format string
	c := &cobra.Command{
		Use:   "forget --user USER",
		Short: "Erase a user: state, pending runs, caches",
		Long: `Erase what is known of a user. An order is written into the input topics; the process that owns the
partition obeys it in its place among the events: state, pending runs, entries of the timer index, what
it holds in memory. Waits until that is published, then looks through Redis and says what was erased.
A later event of the user starts fresh. A replay comes past the order and does not bring the user back.

If no process is running the order stands, and is obeyed before anything else is decided of the user.
Exit code 1: not obeyed yet; run it again to see. docs/forget.md says what is not erased.`,
		Example: `  nudged forget --config nudged.yaml --user u1
  nudged forget --config nudged.yaml --user u1 --format json`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case f.User == "":
				return usageError{errors.New("--user is needed; see nudged forget --help")}
			case format != "text" && format != "json":
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			case f.Wait <= 0:
				return usageError{fmt.Errorf("--wait %s: use a time above 0, such as 1m", f.Wait)}
			}
			var err error
			if f.Config, err = config.Load(configFile, os.LookupEnv); err != nil {
				return usageError{err}
			}
			done, err := f.Run(c.Context())
			if done != nil && format == "json" {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				err = errors.Join(err, enc.Encode(done))
			} else if done != nil {
				printForgotten(c.OutOrStdout(), done, &f)
			}
			if err != nil {
				return err
			}
			if !done.Done() {
				return errReported
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.User, "user", "", "id of the user")
	c.Flags().DurationVar(&f.Wait, "wait", time.Minute, "how long to wait until the order is obeyed")
	c.Flags().StringVar(&configFile, "config", "", "configuration file, for kafka and redis")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

func printForgotten(w io.Writer, f *app.Forgotten, asked *app.Forget) {
	for _, o := range f.Orders {
		where := fmt.Sprintf("%s/%d", o.Topic, o.Partition)
		switch {
		case o.Obeyed:
			fmt.Fprintf(w, "%s: erased at offset %d: a state of %d bytes, %d pending runs, %d timer entries, %d unpublished records (published first)\n",
				where, o.Offset, o.State, o.Pending, o.Timers, o.Outbox)
		case f.Members == 0:
			fmt.Fprintf(w, "%s: ordered at offset %d. No process of group %s is running: the next one obeys before it decides anything more of the user\n",
				where, o.Offset, asked.Config.Kafka.Group)
		default:
			fmt.Fprintf(w, "%s: ordered at offset %d, not obeyed within %s: the partition lags behind or is stopped, see nudged's status page. The order stands\n",
				where, o.Offset, asked.Wait)
		}
	}
	if !f.Done() {
		return
	}
	if len(f.Left) == 0 {
		fmt.Fprintln(w, "looked through Redis: nothing of the user is left")
	} else {
		fmt.Fprintf(w, "looked through Redis: the user has come again since, in %s\n", strings.Join(f.Left, ", "))
	}
	for _, topic := range f.Tombstones {
		fmt.Fprintf(w, "%s is compacted: wrote a tombstone\n", topic)
	}
	t := &asked.Config.Kafka.Topics
	fmt.Fprintf(w, "Not erased: the records that Kafka keeps until their retention ends (%s, %s, %s, %s), and backups of Redis\n",
		strings.Join(t.Events, ", "), t.Sends, t.Decisions, t.DeadLetters)
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/telemetry"
	"github.com/nudged/nudged/processor/rescale"
)

func rescaleCommand() *cobra.Command {
	var path, format string
	r := app.Rescale{Now: func() int64 { return time.Now().UnixMilli() }}
	c := &cobra.Command{
		Use:   "rescale --config nudged.yaml",
		Short: "Move the state after a topic has got more partitions",
		Long: `Move users, what they have pending and all that is known of them to the partitions where
their events go to now, after input topics have got more partitions; or go by other numbers
of partitions of the send and decision topics. Nothing is lost and nothing is sent twice.

Stop all processes of the group first. Events that were written before the topic grew are
taken in and decided on the way. Interrupted at any moment, run it again: it carries on, and
until it has ended nudged run refuses to go on. Nothing is to be done to Redis or Kafka by
hand.

It refuses to begin while a producer may still go by the former number: if a record was
written by it less than --settle ago. Producers learn of the new number when they are
started again, or within metadata.max.age.ms.`,
		Example: `  nudged rescale --config nudged.yaml --dry-run
  nudged rescale --config nudged.yaml
  nudged rescale --config nudged.yaml --settle 0s      # all producers were restarted`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case format != "text" && format != "json":
				return usageError{fmt.Errorf("--format %q: use text or json", format)}
			case r.Settle < 0:
				return usageError{fmt.Errorf("--settle %s: give 0s or more", r.Settle)}
			}
			var err error
			if r.Config, err = config.Load(path, os.LookupEnv); err != nil {
				return usageError{err}
			}
			if r.Logger, err = telemetry.NewLogger(os.Stderr, r.Config.Log.Level, r.Config.Log.Format); err != nil {
				return err
			}
			tuneMemory()
			last := ""
			r.Progress = func(topic, stage string, _, of int) {
				if now := topic + ": " + stage; now != last {
					last = now
					r.Logger.Info("rescale", "topic", topic, "stage", stage, "partitions", of)
				}
			}
			reports, err := r.Run(c.Context())
			if err != nil {
				return err
			}
			if format == "json" {
				enc := json.NewEncoder(c.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(reports)
			}
			for _, report := range reports {
				printRescale(c.OutOrStdout(), report, r.DryRun)
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file, as for nudged run")
	c.Flags().BoolVar(&r.DryRun, "dry-run", false, "only say what would be moved")
	c.Flags().DurationVar(&r.Settle, "settle", 5*time.Minute, "for how long no record may have been written under the former number of partitions")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	return c
}

func printRescale(w io.Writer, r *rescale.Report, dry bool) {
	if !r.Needed {
		fmt.Fprintf(w, "%s: %d partitions, as before; nothing to move\n", r.Topic, r.After.Input)
		return
	}
	if r.Resumed {
		fmt.Fprintf(w, "%s: an earlier move was interrupted; %s\n", r.Topic, map[bool]string{true: "run nudged rescale to carry on", false: "it was carried through"}[dry])
	}
	verb := map[bool]string{true: "would move", false: "moved"}[dry]
	fmt.Fprintf(w, "%s: from %d partitions to %d", r.Topic, r.Before.Input, r.After.Input)
	if r.Before.Sends != r.After.Sends || r.Before.Decisions != r.After.Decisions {
		fmt.Fprintf(w, " (sends %d to %d, decisions %d to %d)", r.Before.Sends, r.After.Sends, r.Before.Decisions, r.After.Decisions)
	}
	total := func(of func(*rescale.Partition) int64) int64 { return r.Total(of) }
	fmt.Fprintf(w, "\n%s %d of %d users with %d timers, %.1f MB", verb,
		total(func(p *rescale.Partition) int64 { return p.MovedIn }), total(func(p *rescale.Partition) int64 { return p.Users }),
		total(func(p *rescale.Partition) int64 { return p.Timers }), float64(total(func(p *rescale.Partition) int64 { return p.Bytes }))/1e6)
	if dry {
		fmt.Fprintf(w, "; Redis needs about %.1f MB more meanwhile", float64(r.MemoryNeeded())/1e6)
	} else {
		fmt.Fprintf(w, "; removed %d states where they lay before", total(func(p *rescale.Partition) int64 { return p.Gone }))
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "partition\tusers\tout\tin\ttimers in\tunread\tof the former layout\tof the new one\t")
	for _, p := range r.Partitions {
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", p.Partition, p.Users, p.MovedOut, p.MovedIn, p.Timers, p.Unread, p.Late, p.Early)
	}
	t.Flush()
}

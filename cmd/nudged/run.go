package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/nudged/nudged/internal/app"
	"github.com/nudged/nudged/internal/config"
	"github.com/nudged/nudged/internal/telemetry"
)

func runCommand() *cobra.Command {
	var path, cpuProfile string
	var printConfig, stopAtEnd, acceptLoss bool
	var clock, onReset string
	c := &cobra.Command{
		Use:   "run --config nudged.yaml",
		Short: "Run the daemon",
		Long: `Run the daemon: read events from Kafka, keep state in Redis, publish send commands.

Every key of the configuration can be given as an environment variable too:
NUDGED_KAFKA_BROKERS, NUDGED_REDIS_ADDRS, NUDGED_COMMIT_INTERVAL and so on.
SIGTERM finishes what is under way and stops within 10 seconds. The rules are read
again when their files change, and on SIGHUP; if they are not valid, those of before
stay in force.`,
		Example: `  nudged run --config nudged.yaml
  nudged run --config nudged.yaml --print-config
  nudged run --config nudged.yaml --clock event --stop-at-end
  nudged run --config nudged.yaml --on-offset-reset rebuild`,
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			lookup := func(name string) (string, bool) {
				switch {
				case name == "NUDGED_STOP_AT_END" && c.Flags().Changed("stop-at-end"):
					return fmt.Sprint(stopAtEnd), true
				case name == "NUDGED_ON_OFFSET_RESET" && onReset != "":
					return onReset, true
				case name == "NUDGED_ACCEPT_STATE_LOSS" && c.Flags().Changed("accept-state-loss"):
					return fmt.Sprint(acceptLoss), true
				case name == "NUDGED_CLOCK" && clock != "":
					return clock, true
				}
				return os.LookupEnv(name)
			}
			cfg, err := config.Load(path, lookup)
			if err != nil {
				return usageError{err}
			}
			if printConfig {
				text, err := config.Print(cfg)
				if err != nil {
					return err
				}
				fmt.Fprint(c.OutOrStdout(), text)
				return nil
			}
			logger, err := telemetry.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
			if err != nil {
				return err
			}
			tuneMemory()
			if cpuProfile != "" {
				f, err := os.Create(cpuProfile)
				if err != nil {
					return err
				}
				defer f.Close()
				if err := pprof.StartCPUProfile(f); err != nil {
					return err
				}
				defer pprof.StopCPUProfile()
			}
			d := app.Daemon{Config: cfg, Logger: logger, Stdout: os.Stdout, Reload: hangups(c.Context())}
			return d.Run(c.Context())
		},
	}
	c.Flags().StringVar(&path, "config", "", "configuration file (default: none, the defaults and the environment hold)")
	c.Flags().BoolVar(&printConfig, "print-config", false, "print the configuration as it results, secrets hidden, and exit")
	c.Flags().BoolVar(&stopAtEnd, "stop-at-end", false, "read to the present end of each partition, commit, and exit (with clock: event)")
	c.Flags().StringVar(&onReset, "on-offset-reset", "", "answer to partitions whose offset was reset, deleted or has expired: keep, rebuild or skip")
	c.Flags().BoolVar(&acceptLoss, "accept-state-loss", false, "answer to partitions that need what retention has removed: go on without it")
	c.Flags().StringVar(&clock, "clock", "", "wall or event; overrides the configuration")
	c.Flags().StringVar(&cpuProfile, "cpuprofile", "", "write a CPU profile to this file, for go tool pprof")
	return c
}

// tuneMemory lets the heap grow to twice the live data before it is collected,
// but collects harder long before 400 MB. GOGC and GOMEMLIMIT override it.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(400 << 20)
	}
}

// hangups passes SIGHUP on until ctx ends.
func hangups(ctx context.Context) <-chan struct{} {
	signals, asked := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case <-ctx.Done():
				return
			case asked <- struct{}{}:
			}
		}
	}()
	return asked
}

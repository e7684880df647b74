package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nudged/nudged/bench/workload"
)

// parse parses args and refuses what is left over.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage{err}
	}
	if fs.NArg() > 0 {
		return errUsage{fmt.Errorf("%s takes no argument %q, only flags", fs.Name(), fs.Arg(0))}
	}
	return nil
}

// workloadFlags adds the flags that say which workload.
func workloadFlags(fs *flag.FlagSet) *workload.Config {
	cfg := workload.Default()
	fs.IntVar(&cfg.Events, "events", cfg.Events, "records, duplicates included")
	fs.IntVar(&cfg.Users, "users", cfg.Users, "population of users")
	fs.IntVar(&cfg.Partitions, "partitions", cfg.Partitions, "partitions of each topic")
	fs.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "seed of the workload")
	fs.Float64Var(&cfg.Days, "days", cfg.Days, "event time that the workload spans, in days")
	return &cfg
}

// nudgedFlag adds -nudged.
func nudgedFlag(fs *flag.FlagSet) *string {
	return fs.String("nudged", "bin/nudged", "the nudged program")
}

// timeoutFlag adds -timeout.
func timeoutFlag(fs *flag.FlagSet) *time.Duration {
	return fs.Duration("timeout", 10*time.Minute, "how long one process may run, and one topic may take to read")
}

// program checks that the nudged program is there.
func program(path string) error {
	if st, err := os.Stat(path); err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
		return errUsage{fmt.Errorf("-nudged %s is no program that can be run: build it with `make build`, or name it with -nudged", path)}
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/nudged/nudged/bench/load"
)

// verifyCommand holds topics that nudged wrote earlier against the oracle.
func verifyCommand(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("verify", flag.ContinueOnError)
	cfg := workloadFlags(fs)
	var t load.Topics
	fs.StringVar(&t.Sends, "sends", "", "topic of the sends")
	fs.StringVar(&t.Decisions, "decisions", "", "topic of the decisions")
	fs.StringVar(&t.DeadLetters, "dead-letters", "", "topic of the dead letters")
	asJSON := fs.Bool("json", false, "print JSON")
	timeout := timeoutFlag(fs)
	if err := parse(fs, args); err != nil {
		return err
	}
	for _, name := range t.Outputs() {
		if name == "" {
			return errUsage{fmt.Errorf("verify needs -sends, -decisions and -dead-letters")}
		}
	}
	if err := cfg.Validate(); err != nil {
		return errUsage{err}
	}
	s, err := findServices(false)
	if err != nil {
		return err
	}
	owed, err := load.Owed(*cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	v, err := load.Check(ctx, s.brokers, t, owed)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(out).Encode(v)
	} else {
		writeVerdict(out, t.Sends, v)
	}
	if err == nil && !v.OK() {
		return errVerification
	}
	return err
}

// expectCommand prints what a workload owes.
func expectCommand(_ context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("expect", flag.ContinueOnError)
	cfg := workloadFlags(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	if err := parse(fs, args); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return errUsage{err}
	}
	r, err := load.Owed(*cfg)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(owedFigures(r))
	}
	fmt.Fprintln(out, describe(r))
	for _, rule := range slices.Sorted(maps.Keys(r.ByRule)) {
		fmt.Fprintf(out, "  %-15s %+v\n", rule, r.ByRule[rule])
	}
	return nil
}

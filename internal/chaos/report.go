package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nudged/nudged/internal/chaos/verify"
)

// report is what came of a run.
type report struct {
	stage  *stage
	worlds []worldReport
	wait   error // why not all that is owed was waited for
}

type worldReport struct {
	world    *world
	findings *verify.Findings
}

// judge checks every world after all processes have ended.
func (s *stage) judge(ctx context.Context, wait error) (*report, error) {
	r := &report{stage: s, wait: wait}
	for _, w := range s.worlds {
		f, err := w.check(ctx)
		if err != nil {
			return nil, errors.Join(err, s.failure())
		}
		metadata, ends, err := w.positions(ctx)
		if err != nil {
			return nil, err
		}
		f.Positions(metadata, ends)
		for _, d := range append(w.daemons, w.third) {
			w.problems = append(w.problems, d.grumbles()...)
		}
		r.worlds = append(r.worlds, worldReport{w, f})
	}
	s.keep = s.keep || r.slow()
	return r, nil
}

// faults is how many there were.
func (r *report) faults() (n int) {
	for _, k := range r.stage.faults {
		n += k
	}
	return n
}

// clean says that nothing is wrong.
func (r *report) clean() bool {
	clean := r.wait == nil
	for _, w := range r.worlds {
		clean = clean && w.findings.Clean() && len(w.world.problems) == 0
	}
	return clean
}

// longRecovery is how long it may take until all is visible before logs and data of a
// clean run are kept for whoever wants to know why.
const longRecovery = time.Minute

// slow says that a world took long to recover.
func (r *report) slow() bool {
	return slices.ContainsFunc(r.worlds, func(w worldReport) bool { return w.world.recovered > longRecovery })
}

// mostProblems is how many problems of a world are printed.
const mostProblems = 25

// print writes the report.
func (r *report) print(out io.Writer) {
	s := r.stage
	fmt.Fprintf(out, "\nseed %d, %s, %d brokers, %d processes for each clock\n", s.seed, s.duration, len(s.kafka.Brokers), s.processes)
	var kinds []string
	for _, name := range slices.Sorted(maps.Keys(s.faults)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", name, s.faults[name]))
	}
	fmt.Fprintf(out, "%d faults: %s\n", r.faults(), strings.Join(kinds, ", "))
	fmt.Fprintf(out, "services were whole %.1f s after the last fault\n", s.whole.Seconds())
	fmt.Fprintf(out, "%d orders to die at a step were not reached; %d starts failed for want of a service\n", s.missed, s.exits.Load())
	if n := s.redis.Damaged(); n > 0 {
		fmt.Fprintf(out, "Redis found its own file damaged %d times, and began with nothing\n", n)
	}
	for _, w := range r.worlds {
		f := w.findings
		fmt.Fprintf(out, "\n%s clock: %d events, %d commands owed, %d lost, %d duplicated, %d extra\n", w.world.clock, w.world.produced, f.Owed, f.Lost, f.Duplicated, f.Extra)
		var outcomes []string
		for _, o := range slices.Sorted(maps.Keys(f.Outcomes)) {
			outcomes = append(outcomes, fmt.Sprintf("%s %d", o, f.Outcomes[o]))
		}
		fmt.Fprintf(out, "  %s\n", strings.Join(outcomes, ", "))
		fmt.Fprintf(out, "  all was visible %.1f s after the last fault\n", w.world.recovered.Seconds())
		if w.world.clock == "wall" {
			fmt.Fprintf(out, "  lateness, faults included: p50 %d ms, p90 %d ms, p99 %d ms, max %d ms\n",
				f.Percentile(50), f.Percentile(90), f.Percentile(99), f.Percentile(100))
		}
		problems := append(slices.Clone(w.world.problems), f.Problems...)
		for _, p := range problems[:min(mostProblems, len(problems))] {
			fmt.Fprintf(out, "  PROBLEM: %s\n", p)
		}
		if len(problems) > mostProblems {
			fmt.Fprintf(out, "  and %d more\n", len(problems)-mostProblems)
		}
	}
	if r.wait != nil {
		fmt.Fprintf(out, "\nPROBLEM: %v\n", r.wait)
	}
	if r.clean() {
		fmt.Fprintf(out, "\n0 lost, 0 duplicated\n")
		if r.slow() {
			fmt.Fprintf(out, "It took long until all was visible. Logs and data: %s\n", s.dir)
		}
		return
	}
	fmt.Fprintf(out, "\nNOT CLEAN. Logs and data: %s. Again: make chaos CHAOS=%q\n", s.dir, s.again())
}

// again are the arguments that repeat the run.
func (s *stage) again() string {
	args := fmt.Sprintf("-seed %d -duration %s -clocks %s -brokers %d -processes %d", s.seed, s.duration, strings.Join(s.clocks, ","), s.brokers, s.processes)
	if len(s.only) > 0 {
		args += " -only " + strings.Join(s.only, ",")
	}
	if len(s.without) > 0 {
		args += " -without " + strings.Join(s.without, ",")
	}
	return args
}

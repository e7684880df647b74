package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/nudged/nudged/bench/measure"
	"github.com/nudged/nudged/bench/oracle"
	"github.com/nudged/nudged/bench/workload"
)

// report is all that a run found.
type report struct {
	When     time.Time       `json:"when"`
	Tag      string          `json:"tag"` // part of the names of topics and groups
	Go       string          `json:"go"`
	CPUs     int             `json:"cpus"`
	Workload workload.Config `json:"workload"`
	Bytes    int64           `json:"json_bytes"`
	Owed     owed            `json:"owed"`

	KnowsBroker bool `json:"knows_broker"` // its process was named, so its CPU is measured
	KnowsRedis  bool `json:"knows_redis"`

	WarmUps []round            `json:"warm_ups"`
	Rounds  []round            `json:"rounds"`
	Summary map[string]summary `json:"summary"` // by program
	State   *stateSummary      `json:"state,omitempty"`
	Ratios  map[string]float64 `json:"ratios,omitempty"` // of medians
	OK      bool               `json:"ok"`               // every round was verified and found right
}

// owed is what the oracle says of the workload.
type owed struct {
	Sends     int                         `json:"sends"`
	Users     int                         `json:"users"`
	Pending   int                         `json:"pending"`
	Repeated  int                         `json:"repeated"`
	Decisions oracle.Decisions            `json:"decisions"`
	ByRule    map[string]oracle.Decisions `json:"by_rule"`
}

func owedFigures(r oracle.Result) owed {
	return owed{len(r.Sends), r.Users, r.Pending, r.Repeated, r.Decisions, r.ByRule}
}

// summary are one program's figures over the rounds. CPU is in seconds per
// million events.
type summary struct {
	WallSeconds  measure.Summary `json:"wall_s"`
	EventsPerSec measure.Summary `json:"events_per_s"`
	CPU          measure.Summary `json:"cpu_s_per_million"`
	BrokerCPU    measure.Summary `json:"broker_cpu_s_per_million"`
	RedisCPU     measure.Summary `json:"redis_cpu_s_per_million"`
	AllCPU       measure.Summary `json:"all_cpu_s_per_million"`
	PeakMB       measure.Summary `json:"peak_rss_mb"`
}

// stateSummary is what nudged keeps in Redis at the end of the workload.
type stateSummary struct {
	BytesPerUser    measure.Summary `json:"bytes_per_user"`          // state keys, over the users that came
	BytesPerPending measure.Summary `json:"bytes_per_pending_timer"` // timer keys, over the instances that wait
	GrownPerUser    measure.Summary `json:"grown_per_user"`          // the server's whole growth, over the users
	StoredUsers     measure.Summary `json:"stored_users"`            // entries of the state keys
	BrokerPeakMB    measure.Summary `json:"broker_peak_rss_mb"`
	RedisPeakMB     measure.Summary `json:"redis_peak_rss_mb"`
}

// The programs of a round, as the report names them.
const (
	nudgedProgram = "nudged"
	decodeProgram = "floor_decode"
	ctpProgram    = "floor_ctp"
)

const mb = 1e6

func (rep *report) summarize() {
	of := func(figure func(r round) float64) measure.Summary {
		values := make([]float64, len(rep.Rounds))
		for i, r := range rep.Rounds {
			values[i] = figure(r)
		}
		return measure.Summarize(values)
	}
	events := float64(rep.Workload.Events)
	program := func(pick func(r round) figures) summary {
		perMillion := func(seconds func(f figures) float64) measure.Summary {
			return of(func(r round) float64 { return seconds(pick(r)) * 1e6 / events })
		}
		return summary{
			WallSeconds:  of(func(r round) float64 { return pick(r).WallSeconds }),
			EventsPerSec: of(func(r round) float64 { return events / pick(r).WallSeconds }),
			CPU:          perMillion(func(f figures) float64 { return f.CPUSeconds }),
			BrokerCPU:    perMillion(func(f figures) float64 { return f.BrokerCPU }),
			RedisCPU:     perMillion(func(f figures) float64 { return f.RedisCPU }),
			AllCPU:       perMillion(func(f figures) float64 { return f.CPUSeconds + f.BrokerCPU + f.RedisCPU }),
			PeakMB:       of(func(r round) float64 { return float64(pick(r).PeakRSS) / mb }),
		}
	}
	rep.Summary = map[string]summary{
		decodeProgram: program(func(r round) figures { return r.Decode }),
		ctpProgram:    program(func(r round) figures { return r.CTP }),
	}
	rep.OK = true
	if rep.Rounds[0].Verdict == nil {
		return
	}
	rep.Summary[nudgedProgram] = program(func(r round) figures { return r.Nudged })
	users, pending := float64(max(rep.Owed.Users, 1)), float64(max(rep.Owed.Pending, 1))
	rep.State = &stateSummary{
		BytesPerUser:    of(func(r round) float64 { return float64(r.Redis.ByClass[measure.States].Bytes) / users }),
		BytesPerPending: of(func(r round) float64 { return float64(r.Redis.ByClass[measure.Timers].Bytes) / pending }),
		GrownPerUser:    of(func(r round) float64 { return float64(r.RedisGrown) / users }),
		StoredUsers:     of(func(r round) float64 { return float64(r.Redis.ByClass[measure.States].Entries) }),
		BrokerPeakMB:    of(func(r round) float64 { return float64(r.BrokerPeak) / mb }),
		RedisPeakMB:     of(func(r round) float64 { return float64(r.RedisPeak) / mb }),
	}
	n, d, c := rep.Summary[nudgedProgram], rep.Summary[decodeProgram], rep.Summary[ctpProgram]
	rep.Ratios = map[string]float64{
		"cpu_to_floor_decode":     n.CPU.Median / d.CPU.Median,
		"cpu_to_floor_ctp":        n.CPU.Median / c.CPU.Median,
		"all_cpu_to_floor_decode": n.AllCPU.Median / d.AllCPU.Median,
		"all_cpu_to_floor_ctp":    n.AllCPU.Median / c.AllCPU.Median,
	}
	for _, r := range append(rep.WarmUps[:len(rep.WarmUps):len(rep.WarmUps)], rep.Rounds...) {
		rep.OK = rep.OK && r.Verdict.OK()
	}
}

// line tells a round as it ends.
func (r round) line() string {
	s := fmt.Sprintf("floor decode %.2f s CPU (broker %.2f), floor ctp %.2f (broker %.2f, %d commits)",
		r.Decode.CPUSeconds, r.Decode.BrokerCPU, r.CTP.CPUSeconds, r.CTP.BrokerCPU, r.Commits)
	if r.Verdict == nil {
		return s
	}
	return s + fmt.Sprintf(", nudged %.2f (broker %.2f, Redis %.2f) in %.1f s; %v",
		r.Nudged.CPUSeconds, r.Nudged.BrokerCPU, r.Nudged.RedisCPU, r.Nudged.WallSeconds, *r.Verdict)
}

func (rep *report) writeJSON(out io.Writer) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(rep)
}

// cell shows a median with the range around it.
func cell(s measure.Summary, digits int) string {
	return fmt.Sprintf("%.*f (%.*f..%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

func (rep *report) writeTable(out io.Writer) error {
	fmt.Fprintf(out, "%d events, %d users, %d partitions, %.4g days, seed %d, %.0f bytes of JSON each; %d sends owed; %s, %d CPUs\n",
		rep.Workload.Events, rep.Owed.Users, rep.Workload.Partitions, rep.Workload.Days, rep.Workload.Seed,
		float64(rep.Bytes)/float64(rep.Workload.Events), rep.Owed.Sends, rep.Go, rep.CPUs)
	fmt.Fprintf(out, "medians (min..max) of %d rounds, %d warm-up rounds before; CPU in seconds per million events\n\n", len(rep.Rounds), len(rep.WarmUps))

	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	columns := []struct{ name, program string }{
		{"nudged", nudgedProgram}, {"floor: decode only", decodeProgram}, {"floor: consume-transform-produce", ctpProgram},
	}
	rows := []struct {
		name  string
		cell  func(s summary) string
		known bool
	}{
		{"events/s", func(s summary) string { return cell(s.EventsPerSec, 0) }, true},
		{"wall, s", func(s summary) string { return cell(s.WallSeconds, 2) }, true},
		{"CPU, the program", func(s summary) string { return cell(s.CPU, 2) }, true},
		{"CPU, broker", func(s summary) string { return cell(s.BrokerCPU, 2) }, rep.KnowsBroker},
		{"CPU, Redis", func(s summary) string { return cell(s.RedisCPU, 2) }, rep.KnowsRedis},
		{"CPU, all", func(s summary) string { return cell(s.AllCPU, 2) }, rep.KnowsBroker && rep.KnowsRedis},
		{"peak memory, MB", func(s summary) string { return cell(s.PeakMB, 0) }, true},
	}
	for _, c := range columns {
		if _, ok := rep.Summary[c.program]; ok {
			fmt.Fprintf(w, "\t%s", c.name)
		}
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		fmt.Fprint(w, row.name)
		for _, c := range columns {
			s, ok := rep.Summary[c.program]
			switch {
			case ok && row.known:
				fmt.Fprintf(w, "\t%s", row.cell(s))
			case ok:
				fmt.Fprint(w, "\tnot measured")
			}
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if rep.State != nil {
		rep.writeState(out)
	}
	return nil
}

func (rep *report) writeState(out io.Writer) {
	fmt.Fprintf(out, "\nnudged's CPU is %.2f times the decode floor's, %.2f times the consume-transform-produce floor's\n",
		rep.Ratios["cpu_to_floor_decode"], rep.Ratios["cpu_to_floor_ctp"])
	if rep.KnowsBroker && rep.KnowsRedis {
		fmt.Fprintf(out, "with broker and Redis: %.2f times, %.2f times\n", rep.Ratios["all_cpu_to_floor_decode"], rep.Ratios["all_cpu_to_floor_ctp"])
	}
	fmt.Fprintf(out, "in Redis: %s bytes a user (%d users came, %.0f stored), %s bytes a pending timer (%d pending)\n",
		cell(rep.State.BytesPerUser, 1), rep.Owed.Users, rep.State.StoredUsers.Median,
		cell(rep.State.BytesPerPending, 1), rep.Owed.Pending)
	fmt.Fprintf(out, "Redis grew by %s bytes a user in all; peak memory of the services during nudged's runs: broker %.0f MB, Redis %.0f MB\n",
		cell(rep.State.GrownPerUser, 1), rep.State.BrokerPeakMB.Median, rep.State.RedisPeakMB.Median)
	for i, r := range append(rep.WarmUps[:len(rep.WarmUps):len(rep.WarmUps)], rep.Rounds...) {
		name := fmt.Sprintf("round %d", i-len(rep.WarmUps)+1)
		if i < len(rep.WarmUps) {
			name = fmt.Sprintf("warm-up %d", i+1)
		}
		writeVerdict(out, name, *r.Verdict)
	}
}

// writeVerdict prints a verdict and what it found.
func writeVerdict(out io.Writer, name string, v oracle.Verdict) {
	word := "verified"
	if !v.OK() {
		word = "NOT VERIFIED"
	}
	fmt.Fprintf(out, "%s, %s: %v\n", word, name, v)
	for _, e := range v.Examples {
		fmt.Fprintf(out, "  %s\n", e)
	}
}

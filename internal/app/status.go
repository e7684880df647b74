package app

import (
	"cmp"
	"context"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nudged/nudged/internal/telemetry"
	"github.com/nudged/nudged/processor"
)

// statusPage shows a person what a process is doing. It is plain HTML, rendered
// here, and names no user.
type statusPage struct {
	group, clock string
	rules        func() string // version in force
	now          func() int64  // ms
	wall         bool
	status       func() []processor.Status
	counters     *processor.Counters
	pending      *pendingTimers
	recent       func() []telemetry.Decision
}

type pageRow struct {
	Partition, State, Why, Lag, LagTime, ClockAt, ClockLag, NextDue, Pending string
	Offset, End                                                              int64
}

type pageDecision struct {
	At, Late, Partition, Rule, Decision, User, Trace string
}

type pageCount struct {
	Name  string
	Value int64
}

type page struct {
	Group, Rules, Clock, Now string
	Rows                     []pageRow
	Counts                   []pageCount
	Recent                   []pageDecision
}

var pageTemplate = template.Must(template.New("status").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>nudged: {{.Group}}</title>
<style>body{font:14px/1.4 sans-serif;margin:1.5em}table{border-collapse:collapse;margin-bottom:1.5em}th,td{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums}.bad{color:#b00}</style>
</head><body>
<h1>nudged</h1>
<p>group {{.Group}}, rules {{.Rules}}, clock {{.Clock}}, at {{.Now}}. <a href="/readyz">readyz</a> <a href="/metrics">metrics</a></p>
<h2>Partitions</h2>
{{if .Rows}}<table><tr><th>partition</th><th>state</th><th>offset</th><th>end</th><th>lag</th><th>behind by</th><th>clock</th><th>clock behind by</th><th>next due</th><th>pending</th></tr>
{{range .Rows}}<tr><td>{{.Partition}}</td><td{{if ne .State "processing"}} class="bad"{{end}}>{{.State}}{{with .Why}}: {{.}}{{end}}</td><td class="n">{{.Offset}}</td><td class="n">{{.End}}</td><td class="n">{{.Lag}}</td><td class="n">{{.LagTime}}</td><td>{{.ClockAt}}</td><td class="n">{{.ClockLag}}</td><td>{{.NextDue}}</td><td class="n">{{.Pending}}</td></tr>
{{end}}</table>{{else}}<p>None is assigned to this process.</p>{{end}}
<h2>Since the start</h2>
<table>{{range .Counts}}<tr><td>{{.Name}}</td><td class="n">{{.Value}}</td></tr>
{{end}}</table>
<h2>Last decisions</h2>
{{if .Recent}}<table><tr><th>at</th><th>after due</th><th>partition</th><th>rule</th><th>decision</th><th>user (hash)</th><th>trace</th></tr>
{{range .Recent}}<tr><td>{{.At}}</td><td class="n">{{.Late}}</td><td>{{.Partition}}</td><td>{{.Rule}}</td><td>{{.Decision}}</td><td>{{.User}}</td><td>{{.Trace}}</td></tr>
{{end}}</table>{{else}}<p>None yet.</p>{{end}}
</body></html>
`))

func (s *statusPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.now()
	p := page{Group: s.group, Rules: s.rules(), Clock: s.clock, Now: moment(now)}
	pending := s.pending.all(r.Context())
	status := s.status()
	slices.SortFunc(status, func(a, b processor.Status) int {
		return cmp.Or(cmp.Compare(a.Input.Topic, b.Input.Topic), cmp.Compare(a.Input.Partition, b.Input.Partition))
	})
	for i := range status {
		p.Rows = append(p.Rows, s.row(&status[i], pending, now))
	}
	c := s.counters
	p.Counts = []pageCount{
		{"events", c.Events.Load()},
		{"of types that no rule reads", c.Unread.Load()},
		{"repeated", c.Duplicates.Load()},
		{"dead letters", c.DeadLetters.Load()},
		{"timers fired", c.Fired.Load()},
		{"decisions", c.Decisions.Load()},
		{"sent", c.Sent.Load()},
		{"batches", c.Batches.Load()},
		{"transactions", c.Transactions.Load()},
		{"transactions not committed", c.Aborted.Load()},
		{"writes refused", c.Fenced.Load()},
		{"calls to Redis repeated", c.StoreErrors.Load()},
		{"records replayed", c.Replayed.Load()},
	}
	for _, d := range s.recent() {
		row := pageDecision{
			At: moment(d.At), Late: (time.Duration(d.At-d.Due) * time.Millisecond).String(), Partition: d.Input.String(),
			Rule: d.Rule, Decision: string(d.Outcome), User: d.User,
		}
		if len(d.Trace) == 55 {
			row.Trace = d.Trace[3:35]
		}
		p.Recent = append(p.Recent, row)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_ = pageTemplate.Execute(w, p) // the client has gone
}

func (s *statusPage) row(p *processor.Status, pending map[processor.TopicPartition]int64, now int64) pageRow {
	row := pageRow{Partition: p.Input.String(), State: "processing", Offset: p.Offset, End: p.End, Why: p.Trouble}
	switch {
	case p.Stopped != nil:
		row.State, row.Why = "stopped", p.Stopped.Error()
	case !p.Ready:
		row.State = "being claimed"
	case p.Trouble != "":
		row.State = "waiting"
	}
	lag := telemetry.Lag(p, now)
	if p.Ready {
		row.Lag, row.LagTime, row.ClockAt = strconv.FormatInt(lag.Records, 10), lag.Time.Round(time.Millisecond).String(), moment(p.Clock)
		if s.wall {
			row.ClockLag = lag.Clock.String()
		}
	}
	if p.NextDue != 0 {
		row.NextDue = moment(p.NextDue)
	}
	if n, ok := pending[p.Input]; ok {
		row.Pending = strconv.FormatInt(n, 10)
	}
	return row
}

func moment(ms int64) string {
	if ms <= 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000")
}

// pendingTimers counts the entries of timer indexes, not more often than it has
// to: it is asked at every scrape.
type pendingTimers struct {
	count  func(context.Context, processor.TopicPartition) (int64, error)
	status func() []processor.Status

	mu    sync.Mutex
	at    time.Time
	known map[processor.TopicPartition]int64
}

const (
	pendingEvery   = 5 * time.Second
	pendingTimeout = time.Second
)

// all returns the counts of the partitions that are processed here. One that
// cannot be had is left out.
func (p *pendingTimers) all(ctx context.Context) map[processor.TopicPartition]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < pendingEvery {
		return maps.Clone(p.known)
	}
	ctx, cancel := context.WithTimeout(ctx, pendingTimeout)
	defer cancel()
	p.known = map[processor.TopicPartition]int64{}
	for _, s := range p.status() {
		if !s.Ready {
			continue
		}
		if n, err := p.count(ctx, s.Input); err == nil {
			p.known[s.Input] = n
		}
	}
	p.at = time.Now()
	return maps.Clone(p.known)
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

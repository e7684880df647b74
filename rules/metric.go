package rules

import (
	"math"
	"slices"
	"strings"
)

// takeMetric enters the event at hand into a metric.
func (sp *stepper) takeMetric(m *Metric, t int64) {
	if !sp.ask(m.Where) {
		return
	}
	key := uint64(0)
	v := Value{}
	if m.Value != nil {
		if v = m.Value(&sp.env); !v.Present() {
			sp.out.Missing++
			return
		}
	}
	var ok bool
	switch m.Kind {
	case Count:
		if key, ok = sp.env.metricKey(m); !ok {
			sp.out.Missing++
			return
		}
	case Sum:
		if !v.addable() {
			sp.out.Mismatches++
			return
		}
		key = math.Float64bits(v.Float())
	case Distinct:
		text, ok := v.Text()
		if !ok {
			sp.out.Mismatches++
			return
		}
		key = hash48(text)
	case Latest:
		sp.st.metricFor(m).setLatest(t, v)
		return
	}
	sp.st.metricFor(m).add(m, t, key, sp.st.newest)
}

// addable says that the value is a finite number.
func (v Value) addable() bool {
	return v.Kind == Int || v.Kind == Float && !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
}

// setLatest keeps the value of the newest event; of two of the same time the
// later applied.
func (ms *metricState) setLatest(t int64, v Value) {
	if len(ms.points) == 0 {
		ms.points = append(ms.points, point{t: t, n: 1})
	} else if t < ms.points[0].t {
		return
	}
	ms.points[0].t = t
	v.str = strings.Clone(v.str)
	ms.value = v
}

// inWindow returns the points in (lower, upper] where lower is as old as the
// window, seen from now or the newest event.
func (ms *metricState) inWindow(m *Metric, newest, now, upper int64) []point {
	if m.Within == 0 {
		return ms.points
	}
	lower := max(now, newest) - m.Within
	to := len(ms.points)
	for to > 0 && ms.points[to-1].t > upper {
		to--
	}
	from := to
	for from > 0 && ms.points[from-1].t > lower {
		from--
	}
	return ms.points[from:to]
}

// count returns how many occurrences the points stand for.
func count(points []point, key uint64) (n int64) {
	for _, p := range points {
		if p.key == key {
			n += p.n
		}
	}
	return n
}

// sum adds up from the oldest on.
func sum(points []point) (f float64) {
	for _, p := range points {
		f += math.Float64frombits(p.key)
	}
	return f
}

func distinct(points []point) int64 {
	var stack [maxPoints]uint64
	keys := stack[:0]
	for _, p := range points {
		keys = append(keys, p.key)
	}
	slices.Sort(keys)
	return int64(len(slices.Compact(keys)))
}

func (st *State) metric(m *Metric) *metricState {
	for i := range st.metrics {
		if ms := &st.metrics[i]; ms.id == m.ID && ms.is(m) {
			return ms
		}
	}
	return nil
}

// is says that the state was kept for a metric of this form.
func (ms *metricState) is(m *Metric) bool { return ms.kind == m.Kind && ms.keyed == m.Keyed }

// metricFor returns the metric's state, made if it is not there. A metric that
// was edited to another kind starts anew.
func (st *State) metricFor(m *Metric) *metricState {
	for i := range st.metrics {
		ms := &st.metrics[i]
		if ms.id != m.ID {
			continue
		}
		if !ms.is(m) {
			ms.kind, ms.keyed, ms.points = m.Kind, m.Keyed, ms.points[:0]
		}
		return ms
	}
	n := len(st.metrics)
	if n < cap(st.metrics) {
		st.metrics = st.metrics[:n+1]
		ms := &st.metrics[n]
		ms.id, ms.kind, ms.keyed, ms.points = m.ID, m.Kind, m.Keyed, ms.points[:0]
		return ms
	}
	st.metrics = append(st.metrics, metricState{id: m.ID, kind: m.Kind, keyed: m.Keyed})
	return &st.metrics[n]
}

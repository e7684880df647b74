package rules

import (
	"math"
	"slices"
)

const (
	// ExactOccurrences is how many of a window's latest occurrences are kept
	// one by one; older ones may be kept in panes of W/64.
	ExactOccurrences = 64
	// foldAbove is the number of points at which the older ones are folded. It
	// leaves room for the exact ones, 65 panes and a stretch to grow, so that
	// folding is rare.
	foldAbove = 192
	panes     = 64
	// maxPoints bounds a metric whose keys may keep folding from helping: the
	// oldest points go, and a distinct since ever stops counting.
	maxPoints = 512
)

// add enters an occurrence at t, which may be late; newest is the user's newest
// event. What has left the window goes first, so that folding does not depend on
// when the state was stored.
func (ms *metricState) add(m *Metric, t int64, key uint64, newest int64) {
	ms.prune(m, newest)
	switch {
	case m.Kind == Last, m.Kind == First, m.Within == 0 && !m.Keyed && m.Kind != Distinct:
		// What is since ever needs no times but one.
		if len(ms.points) == 0 {
			ms.points = append(ms.points, point{t: t, n: 1, key: key})
			return
		}
		p := &ms.points[0]
		switch m.Kind {
		case First:
			p.t = min(p.t, t)
			return
		case Sum:
			p.key = addBits(p.key, key)
		case Count:
			p.n++
		}
		p.t = max(p.t, t)
		return
	case m.Within == 0 && m.Kind == Distinct:
		if !slices.ContainsFunc(ms.points, func(p point) bool { return p.key == key }) && len(ms.points) < maxPoints {
			if len(ms.points) > 0 {
				t = ms.points[0].t // times do not matter, and equal ones are stored in a byte
			}
			ms.points = append(ms.points, point{t: t, n: 1, key: key})
		}
		return
	}
	at := len(ms.points)
	for at > 0 && ms.points[at-1].t > t {
		at--
	}
	ms.points = slices.Insert(ms.points, at, point{t: t, n: 1, key: key})
	if len(ms.points) > foldAbove {
		ms.fold(m)
	}
	if extra := len(ms.points) - maxPoints; extra > 0 {
		ms.points = slices.Delete(ms.points, 0, extra)
	}
}

// fold merges all but the newest ExactOccurrences points by pane. A pane counts
// as a whole, at the time of its latest occurrence.
func (ms *metricState) fold(m *Metric) {
	width := max(m.Within/panes, 1)
	exact := len(ms.points) - ExactOccurrences
	out := ms.points[:0]
	pane := 0 // where the pane at hand begins in out
	for i, p := range ms.points {
		if len(out) > 0 && m.Within > 0 && floorDiv(out[len(out)-1].t, width) != floorDiv(p.t, width) {
			pane = len(out)
		}
		same := slices.IndexFunc(out[pane:], func(q point) bool { return m.Kind == Sum || q.key == p.key })
		if i >= exact || same < 0 {
			out = append(out, p)
			continue
		}
		// The merged point takes the later place, so that times stay ascending.
		merged := point{t: p.t, n: out[pane+same].n + p.n, key: p.key}
		if m.Kind == Sum {
			merged.key = addBits(out[pane+same].key, p.key)
		}
		out = append(slices.Delete(out, pane+same, pane+same+1), merged)
	}
	ms.points = out
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// prune drops what has left the window for good: whatever is as old as the
// window, seen from the user's newest event. Counting does not see it either,
// so that it does not matter when it is dropped.
func (ms *metricState) prune(m *Metric, newest int64) {
	if m.Within == 0 || m.Kind != Count && m.Kind != Sum && m.Kind != Distinct {
		return
	}
	i := 0
	for i < len(ms.points) && ms.points[i].t <= newest-m.Within {
		i++
	}
	if i > 0 {
		ms.points = append(ms.points[:0], ms.points[i:]...)
	}
}

// addBits adds two doubles given by their bits.
func addBits(a, b uint64) uint64 {
	return math.Float64bits(math.Float64frombits(a) + math.Float64frombits(b))
}

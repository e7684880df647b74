package rules

import "slices"

const (
	// ExactOccurrences is how many of a window's latest occurrences are kept
	// one by one; older ones may be kept in panes of W/64.
	ExactOccurrences = 64
	// foldAbove is the number of points at which the older ones are folded. It
	// leaves room for the exact ones, 65 panes and a stretch to grow, so that
	// folding is rare.
	foldAbove = 192
	panes     = 64
	// maxPoints bounds a keyed metric, whose keys may keep folding from helping:
	// the oldest points go.
	maxPoints = 512
)

// add enters an occurrence at t, which may be late; newest is the user's newest
// event. What has left the window goes first, so that folding does not depend on
// when the state was stored.
func (ms *metricState) add(m *Metric, t int64, key uint64, newest int64) {
	ms.prune(m, newest)
	if m.Kind == Last {
		if len(ms.points) == 0 {
			ms.points = append(ms.points, point{t: t, n: 1})
		} else {
			ms.points[0].t = max(ms.points[0].t, t)
		}
		return
	}
	if m.Within == 0 && !m.Keyed {
		// A count since ever needs no times.
		if len(ms.points) == 0 {
			ms.points = append(ms.points, point{t: t})
		}
		ms.points[0].t, ms.points[0].n = max(ms.points[0].t, t), ms.points[0].n+1
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
		same := slices.IndexFunc(out[pane:], func(q point) bool { return q.key == p.key })
		if i >= exact || same < 0 {
			out = append(out, p)
			continue
		}
		// The merged point takes the later place, so that times stay ascending.
		merged := point{t: p.t, n: out[pane+same].n + p.n, key: p.key}
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
	if m.Kind != Count || m.Within == 0 {
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

// count returns the occurrences in (now-W, upper].
func (ms *metricState) count(m *Metric, newest, now, upper int64, key uint64) int64 {
	var n int64
	if m.Within == 0 {
		for _, p := range ms.points {
			if p.key == key {
				n += p.n
			}
		}
		return n
	}
	lower := max(now, newest) - m.Within
	for i := len(ms.points) - 1; i >= 0 && ms.points[i].t > lower; i-- {
		if ms.points[i].t <= upper && ms.points[i].key == key {
			n += ms.points[i].n
		}
	}
	return n
}

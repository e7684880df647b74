package rules

import (
	"cmp"
	"slices"
)

// queued is an instance that is to fire.
type queued struct {
	due      int64
	priority int
	rule     int // its order in the file
	order    int // in which it was started
	handle   int
	pos      int  // of the send
	started  bool // by the event at hand
}

// A handle names an instance within a Step: the place among the pending ones, or
// below 0 among the fresh ones.
func freshHandle(i int) int { return ^i }

func (sp *stepper) instance(handle int) *Instance {
	if handle < 0 {
		return &sp.fresh[^handle].Instance
	}
	return &sp.st.instances[handle]
}

// sooner orders what fires: by due time, then priority, then order in the file,
// the instances of one rule as they were started.
func sooner(a, b queued) int {
	return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(b.priority, a.priority), cmp.Compare(a.rule, b.rule), cmp.Compare(a.order, b.order))
}

// push puts an instance that stands at a send into the queue.
func (sp *stepper) push(r *Rule, in *Instance, handle int, started bool) {
	order := handle
	if handle < 0 {
		order = len(sp.st.instances) + ^handle
	}
	sp.pushAt(queued{due: in.Due, priority: r.Priority, rule: r.Index, order: order, handle: handle, pos: in.Pos, started: started})
}

// pushAt puts it where it belongs. The queue is sorted, what fires first at its
// end, once the first has been taken out.
func (sp *stepper) pushAt(q queued) {
	at := len(sp.queue)
	if sp.sorted {
		at, _ = slices.BinarySearchFunc(sp.queue, q, later)
	}
	sp.queue = slices.Insert(sp.queue, at, q)
}

func later(a, b queued) int { return sooner(b, a) }

// next takes out what fires first.
func (sp *stepper) next() (queued, bool) {
	if !sp.sorted {
		slices.SortFunc(sp.queue, later)
		sp.sorted = true
	}
	n := len(sp.queue)
	if n == 0 {
		return queued{}, false
	}
	q := sp.queue[n-1]
	sp.queue = sp.queue[:n-1]
	return q, true
}

// unqueue takes out the instance, which has been started anew.
func (sp *stepper) unqueue(handle int) {
	sp.queue = slices.DeleteFunc(sp.queue, func(q queued) bool { return q.handle == handle })
}

package workload

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
)

// Record is what is to be produced.
type Record struct {
	Key   string
	Value []byte // nil: a tombstone
}

// Generator makes records, one after the other. Its times are the caller's.
type Generator struct {
	dice  *rand.Rand
	users int
	name  string
	late  int64 // ms by which an event may come late
	waits waits

	n       int
	carts   map[string][]string // of a user, lately filled
	items   map[string]string   // that a user signed up with
	last    Record
	planned plan
}

// waits are the spans of the rules around whose ends something is to happen, ms.
type waits struct{ cart, tips, click, search int64 }

// NewWall makes events for the rules on the wall clock.
func NewWall(seed uint64, users int) *Generator {
	return newGenerator(seed, users, "w", 1500, waits{cart: 3000, tips: 2000, click: 5000, search: 6000})
}

// NewEvent makes events for the rules on the event clock.
func NewEvent(seed uint64, users int) *Generator {
	const minute = 60_000
	return newGenerator(seed, users, "e", 45*minute, waits{cart: 120 * minute, tips: 90 * minute, click: 270 * minute, search: 30 * minute})
}

func newGenerator(seed uint64, users int, name string, late int64, w waits) *Generator {
	return &Generator{
		dice: rand.New(rand.NewPCG(seed, 0x776f726b)), users: users, name: name, late: late, waits: w,
		carts: map[string][]string{}, items: map[string]string{},
	}
}

// Next returns a record at a time. Some times are those of events that were
// planned: what ends an instance, shortly before or after it is due.
func (g *Generator) Next(now int64) Record {
	if len(g.planned) > 0 && g.planned[0].at <= now {
		p := heap.Pop(&g.planned).(planned)
		return g.record(p.kind, p.user, now, p.fields)
	}
	user := fmt.Sprintf("%s-%03d", g.name, g.dice.IntN(g.users))
	n := g.dice.IntN(1000)
	switch {
	case n < 8:
		return Record{user, []byte(`{"id":"x","type":"view","user":`)}
	case n < 10:
		return Record{user, nil}
	case n < 40 && g.last.Value != nil:
		return g.last // delivered once more
	case n < 300:
		return g.record("view", user, now, map[string]any{"item": g.item(), "price": float64(g.dice.IntN(200)) / 2})
	case n < 500:
		cart := fmt.Sprintf("c%d", g.dice.IntN(g.users*6))
		g.carts[user] = append(g.carts[user], cart)
		if len(g.carts[user]) > 4 {
			g.carts[user] = g.carts[user][1:]
		}
		if g.dice.IntN(100) < 45 {
			g.plan(now+g.around(g.waits.cart), "purchase", user, g.order(cart))
		}
		return g.record("add_to_cart", user, now, map[string]any{"cart": cart, "item": g.item()})
	case n < 580:
		cart := "none"
		if filled := g.carts[user]; len(filled) > 0 {
			cart = filled[g.dice.IntN(len(filled))]
		}
		return g.record("purchase", user, now, g.order(cart))
	case n < 660:
		item := g.item()
		g.items[user] = item
		switch g.dice.IntN(4) {
		case 0:
			g.plan(now+g.around(g.waits.tips), "closed", user, nil)
		case 1:
			g.plan(now+g.around(g.waits.click), "click", user, map[string]any{"item": item})
		}
		return g.record("signup", user, now, map[string]any{"item": item, "tier": g.tier()})
	case n < 720:
		item := g.items[user]
		if item == "" || g.dice.IntN(3) == 0 {
			item = g.item()
		}
		return g.record("click", user, now, map[string]any{"item": item})
	case n < 830:
		if g.dice.IntN(3) == 0 {
			g.plan(now+g.around(g.waits.search), "view", user, map[string]any{"item": g.item(), "price": 80.5})
		}
		return g.record("search", user, now, map[string]any{"words": g.dice.IntN(5)})
	case n < 900:
		return g.record("consent", user, now, map[string]any{"ads": g.dice.IntN(100) < 85})
	case n < 930:
		return g.record("profile", user, now, map[string]any{"tier": g.tier(), "tz": zones[g.dice.IntN(len(zones))]})
	case n < 960:
		return g.record("coupon", user, now, map[string]any{
			"cart":    fmt.Sprintf("c%d", g.dice.IntN(g.users*6)),
			"expires": timeText(now + g.dice.Int64N(40*g.waits.tips)),
		})
	default:
		return g.record("scroll", user, now, map[string]any{"depth": g.dice.IntN(100)}) // nothing reads it
	}
}

var zones = []string{"Asia/Seoul", "Europe/Berlin", "America/New_York", "Nowhere/Land"}

func (g *Generator) item() string { return fmt.Sprintf("i%d", g.dice.IntN(40)) }

func (g *Generator) tier() string { return []string{"none", "silver", "gold"}[g.dice.IntN(3)] }

func (g *Generator) order(cart string) map[string]any {
	return map[string]any{"cart": cart, "order": fmt.Sprintf("o%d", g.n), "amount": float64(g.dice.IntN(40_000)) / 100}
}

// around returns a span close to d, a little more or less.
func (g *Generator) around(d int64) int64 { return d + g.dice.Int64N(d/3+1) - d/6 }

func (g *Generator) record(kind, user string, now int64, fields map[string]any) Record {
	at := now
	if g.dice.IntN(100) < 6 {
		at -= g.dice.Int64N(g.late)
	}
	g.n++
	e := Event{ID: fmt.Sprintf("%s%d", g.name, g.n), Type: kind, User: user, Time: at, Fields: fields}
	g.last = Record{user, e.JSON()}
	return g.last
}

// planned is an event that is to come.
type planned struct {
	at         int64
	kind, user string
	fields     map[string]any
}

func (g *Generator) plan(at int64, kind, user string, fields map[string]any) {
	heap.Push(&g.planned, planned{at, kind, user, fields})
}

type plan []planned

func (p plan) Len() int           { return len(p) }
func (p plan) Less(i, j int) bool { return p[i].at < p[j].at }
func (p plan) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *plan) Push(x any)        { *p = append(*p, x.(planned)) }
func (p *plan) Pop() any {
	old := *p
	last := old[len(old)-1]
	*p = old[:len(old)-1]
	return last
}

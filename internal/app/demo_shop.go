package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nudged/nudged/rules/eventtime"
)

// shopEvent is one event of the made-up shop.
type shopEvent struct {
	at    int64
	user  string
	kind  string
	about string // what it is about, for people
	value []byte
}

// The made-up shop.
const (
	shopUsers   = 3000
	shopSeed    = 20261101
	shopDayMS   = 24 * 3_600_000
	shopPerUser = 6 // visits in ten days, on average
)

var (
	shopWords    = []string{"water", "jeans", "spring dress", "coffee", "lamp", "running shoes", "tent"}
	shopProducts = []string{"Water 2L", "Blue jeans", "Spring dress", "Coffee beans 1kg", "Desk lamp", "Running shoes", "Two-person tent"}
)

// shopTraffic makes up the visits of some days: searches, views, carts, some
// purchases, sign-ups. The same days give the same events.
func shopTraffic(start time.Time, days int) []shopEvent {
	r := rand.New(rand.NewPCG(shopSeed, uint64(days)))
	var events []shopEvent
	span := int64(days) * shopDayMS
	for u := range shopUsers {
		user := fmt.Sprintf("u%04d", u)
		if r.IntN(10) == 0 {
			events = append(events, shopEvent{at: r.Int64N(span), user: user, kind: "signup"})
		}
		for range r.IntN(2*shopPerUser + 1) {
			events = visit(r, events, user, r.Int64N(span))
		}
	}
	slices.SortStableFunc(events, func(a, b shopEvent) int { return cmp.Compare(a.at, b.at) })
	events = slices.DeleteFunc(events, func(e shopEvent) bool { return e.at >= span })
	for i := range events {
		events[i].at += start.UnixMilli()
		events[i].value = shopJSON(r, fmt.Sprintf("e%06d", i), &events[i])
	}
	return events
}

// visit walks one visitor through the shop.
func visit(r *rand.Rand, events []shopEvent, user string, at int64) []shopEvent {
	add := func(kind string) {
		events = append(events, shopEvent{at: at, user: user, kind: kind})
		at += 20_000 + r.Int64N(240_000)
	}
	for range 1 + r.IntN(4) {
		add("search")
	}
	if r.IntN(4) == 0 {
		return events // found nothing
	}
	for range 1 + r.IntN(5) {
		add("product_view")
	}
	if r.IntN(3) > 0 {
		return events
	}
	add("add_to_cart")
	if r.IntN(3) == 0 {
		add("purchase")
	}
	return events
}

func shopJSON(r *rand.Rand, id string, e *shopEvent) []byte {
	fields := map[string]any{
		"id": id, "type": e.kind, "user": e.user, "time": string(eventtime.AppendRFC3339(nil, e.at)),
	}
	item := r.IntN(len(shopProducts))
	switch e.kind {
	case "search":
		fields["query"] = shopWords[item]
		e.about = fmt.Sprintf(" %q", shopWords[item])
	case "product_view", "add_to_cart", "purchase":
		fields["product"], fields["price"] = shopProducts[item], float64(10+item*15)+0.5
		e.about = fmt.Sprintf(" %q", shopProducts[item])
	}
	value, err := json.Marshal(fields)
	if err != nil {
		panic(err) // strings and numbers
	}
	return value
}

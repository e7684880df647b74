package check

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// impatient are the alerts with their times shortened: what takes minutes in
// operation takes seconds here. The conditions are as they stand.
func impatient(t *testing.T) string {
	t.Helper()
	text := read(t, "deploy/prometheus/alerts.yml")
	for _, edit := range [][2]string{
		{`for: \d+m`, "for: 1s"},
		{`\[\d+m\]`, "[10s]"},
		{`\[2h\]`, "[10s]"},
		{`\[1h:1m\]`, "[1h:1s]"},
		// How late is late, in seconds.
		{`> 300\b`, "> 3"},
		{`> 60\b`, "> 8"},
		// How many writes refused are many.
		{`\) > 10\b`, ") > 2"},
	} {
		text = regexp.MustCompile(edit[0]).ReplaceAllString(text, edit[1])
	}
	return write(t, "alerts.yml", text)
}

// plant is a nudged with traffic whose services can be hurt: they are its own.
type plant struct {
	t       *testing.T
	state   map[string]string // of services.env
	kafka   *kgo.Client
	redis   *redis.Client
	config  string
	addr    string
	refuse  atomic.Int32 // what the receiver of commands answers, 0: it takes them
	daemon  *running
	forward *running
	traffic *running
	p       *prometheus
}

func build(t *testing.T) *plant {
	t.Helper()
	services(t) // they can be had
	prometheusProgram(t, "prometheus")
	w := &plant{t: t, state: ownServices(t), addr: freeAddress(t)}
	// They cannot be ended while they are stopped.
	t.Cleanup(func() {
		w.signal("REDIS_PID", syscall.SIGCONT)
		w.signal("KAFKA_PID", syscall.SIGCONT)
	})
	var err error
	if w.kafka, err = kgo.NewClient(kgo.SeedBrokers(w.state["NUDGED_TEST_KAFKA"])); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kafka.Close)
	w.redis = redis.NewClient(&redis.Options{Addr: w.state["NUDGED_TEST_REDIS"]})
	t.Cleanup(func() { _ = w.redis.Close() })
	made, err := kadm.NewClient(w.kafka).CreateTopics(t.Context(), 2, 1, nil, "events", "sends", "decisions", "dead-letters", "forward-dead-letters")
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if code := w.refuse.Load(); code != 0 {
			rw.WriteHeader(int(code))
		}
	}))
	t.Cleanup(receiver.Close)
	w.config = write(t, "nudged.yaml", fmt.Sprintf(`
kafka: {brokers: [%q]}
redis: {addrs: [%q]}
rules: %q
log: {format: json}
forward: {url: %q, secrets: [whsec_%s], max_wait: 1s}
`, w.state["NUDGED_TEST_KAFKA"], w.state["NUDGED_TEST_REDIS"], write(t, "rules.yaml", `
rules:
  - name: later
    on: product_view
    wait: 1s
    send: {channel: push, class: transactional, template: t}
`), receiver.URL, strings.Repeat("A", 43)+"="))
	forwardAddr := freeAddress(t)
	w.run()
	w.forward = launch(t, []string{"NUDGED_HTTP_ADDR=" + forwardAddr}, program, "forward", "--config", w.config)
	w.forward.untilReady(t, forwardAddr)
	w.traffic = start(t, "generate", "--brokers", w.state["NUDGED_TEST_KAFKA"], "--rate", "200", "--pause", "1s", "--users", "2000")
	w.p = observe(t, impatient(t), map[string]string{"nudged": w.addr, "nudged-forward": forwardAddr})
	return w
}

// run starts the daemon.
func (w *plant) run() {
	w.t.Helper()
	w.daemon = launch(w.t, []string{"NUDGED_HTTP_ADDR=" + w.addr}, program, "run", "--config", w.config)
	w.daemon.untilReady(w.t, w.addr)
}

// signal sends one to a service.
func (w *plant) signal(name string, s syscall.Signal) {
	if pid, err := strconv.Atoi(w.state[name]); err == nil {
		_ = syscall.Kill(pid, s) // it may have ended
	}
}

// firing are the alerts that fire.
func (w *plant) firing() []string {
	found, err := w.p.query(`ALERTS{alertstate="firing"}`)
	if err != nil {
		return nil
	}
	var names []string
	for _, s := range found {
		names = append(names, s.Metric["alertname"])
	}
	return names
}

// raises waits until all of the alerts have fired, at the same time or one after
// the other.
func (w *plant) raises(fault string, wanted ...string) {
	w.t.Helper()
	left := slices.Clone(wanted)
	var seen []string
	deadline := time.After(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for len(left) > 0 {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("%s: %v have not fired; %v have", fault, left, seen)
		}
		for _, name := range w.firing() {
			left = slices.DeleteFunc(left, func(n string) bool { return n == name })
			if !slices.Contains(seen, name) {
				seen = append(seen, name)
			}
		}
	}
	w.t.Logf("%s: %v", fault, seen)
}

// calms waits until none of the alerts fires.
func (w *plant) calms(what string, alerts ...string) {
	w.t.Helper()
	eventually(w.t, what+": calm", func() bool {
		firing := w.firing()
		return !slices.ContainsFunc(alerts, func(a string) bool { return slices.Contains(firing, a) })
	})
}

// Each fault, caused in earnest, raises the alerts that are for it, and they end
// when it does.
func TestFaultsRaiseAlerts(t *testing.T) {
	w := build(t)
	eventually(t, "commands are sent and taken", func() bool {
		found, err := w.p.query(`sum(nudged_forward_commands_total) > 20 and sum(nudged_events_total) > 2000`)
		return err == nil && len(found) > 0
	})

	// Somebody produces what is no event.
	ctx, stop := context.WithCancel(t.Context())
	garbage := make(chan struct{})
	go func() {
		defer close(garbage)
		for ctx.Err() == nil {
			_ = w.kafka.ProduceSync(ctx, &kgo.Record{Topic: "events", Value: []byte("no event")}).FirstErr() // again
		}
	}()
	w.raises("records that are no events", "NudgedDeadLetters")
	stop()
	<-garbage
	w.calms("they have ended", "NudgedDeadLetters")

	// The receiver of commands does not want them; then it is broken.
	w.refuse.Store(http.StatusGone)
	w.raises("commands are refused", "NudgedForwardDeadLetters")
	w.refuse.Store(http.StatusInternalServerError)
	w.raises("the receiver is broken", "NudgedForwardStuck")
	w.refuse.Store(0)
	w.calms("it takes them again", "NudgedForwardStuck", "NudgedForwardDeadLetters")

	// Redis stands still, and goes on.
	w.signal("REDIS_PID", syscall.SIGSTOP)
	w.raises("Redis stands still", "NudgedPartitionNotReady", "NudgedRedisFailing")
	w.signal("REDIS_PID", syscall.SIGCONT)
	w.raises("Redis goes on: what was due meanwhile comes late", "NudgedTimersLate", "NudgedSendsSlow", "NudgedRedisSlow")
	w.calms("the backlog is worked off", "NudgedPartitionNotReady", "NudgedRedisFailing", "NudgedTimersLate", "NudgedSendsSlow", "NudgedRedisSlow")

	// Kafka stands still, and goes on.
	w.signal("KAFKA_PID", syscall.SIGSTOP)
	w.raises("Kafka stands still", "NudgedClockBehind")
	w.signal("KAFKA_PID", syscall.SIGCONT)
	w.calms("Kafka goes on", "NudgedClockBehind")

	// Somebody takes the partitions in Redis again and again: their owner is refused.
	ctx, stop = context.WithCancel(t.Context())
	thief := make(chan struct{})
	go func() {
		defer close(thief)
		for tick := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			for n := range 2 {
				w.redis.HIncrBy(ctx, fmt.Sprintf("nudged:{nudged:events:%d}:h", n), "e", 1)
			}
		}
	}()
	w.raises("partitions are taken away in Redis", "NudgedWritesFenced")
	stop()
	<-thief
	w.calms("they are left alone", "NudgedWritesFenced")

	// The sends do not take what is produced.
	w.limit("sends", "200") // markers of transactions are smaller
	w.raises("the send topic refuses what is produced", "NudgedTransactionsAborted")
	w.limit("sends", "1048588")
	w.calms("it takes it again", "NudgedTransactionsAborted")

	// Somebody else reads under the group's name, and gets a partition.
	stranger, err := kgo.NewClient(kgo.SeedBrokers(w.state["NUDGED_TEST_KAFKA"]), kgo.ConsumerGroup("nudged"), kgo.ConsumeTopics("events"),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	w.raises("a stranger in the group", "NudgedPartitionUnowned")
	stranger.Close()
	w.calms("the stranger has left", "NudgedPartitionUnowned")

	// Events come that no rule wants; then none come.
	if err := w.traffic.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, stop = context.WithCancel(t.Context())
	unwanted := make(chan struct{})
	go func() {
		defer close(unwanted)
		for n := 0; ctx.Err() == nil; n++ {
			_ = w.kafka.ProduceSync(ctx, event(n, "other", time.Now())).FirstErr() // again
		}
	}()
	w.raises("events that no rule wants", "NudgedNothingSent")
	stop()
	<-unwanted
	w.raises("events stop", "NudgedNoEvents")

	// The process dies, finds a backlog when it comes back, and works it off.
	w.kill()
	w.raises("the process is killed", "NudgedDown", "NudgedProcessDown")
	for n := range 400_000 {
		w.kafka.Produce(t.Context(), event(n, "product_view", time.Now().Add(-time.Hour)), nil)
	}
	if err := w.kafka.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.raises("a backlog", "NudgedLagging")
	w.calms("it is worked off", "NudgedDown", "NudgedProcessDown", "NudgedLagging")

	// Redis loses everything: its state is rebuilt.
	if err := w.redis.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.raises("Redis has lost everything", "NudgedReplaying")
	w.calms("it is rebuilt", "NudgedReplaying")

	// Somebody deletes the group, and with it where it was.
	w.kill()
	adm := kadm.NewClient(w.kafka)
	eventually(t, "the group is deleted", func() bool {
		done, err := adm.DeleteGroups(t.Context(), "nudged")
		return err == nil && done.Error() == nil
	})
	w.daemon = launch(t, []string{"NUDGED_HTTP_ADDR=" + w.addr}, program, "run", "--config", w.config)
	w.raises("the group is gone", "NudgedPartitionStopped")
}

// limit sets how many bytes at a time a topic takes.
func (w *plant) limit(topic, bytes string) {
	w.t.Helper()
	done, err := kadm.NewClient(w.kafka).AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &bytes}}, topic)
	if err == nil {
		_, err = done.On(topic, nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// event is one of some thousand users.
func event(n int, kind string, at time.Time) *kgo.Record {
	user := fmt.Sprintf("v%d", n%5000)
	return &kgo.Record{Topic: "events", Key: []byte(user), Timestamp: at, Value: fmt.Appendf(nil,
		`{"id":"%s-%d-%d","type":%q,"user":%q,"time":%q,"price":1.5}`, kind, n, at.UnixNano(), kind, user, at.UTC().Format(time.RFC3339Nano))}
}

// kill ends the daemon as a crash would.
func (w *plant) kill() {
	w.t.Helper()
	if err := w.daemon.cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	<-w.daemon.done
}

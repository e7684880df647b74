package telemetry

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/nudged/nudged/processor"
)

// instruments makes instruments of their definitions.
type instruments struct {
	meter metric.Meter
	errs  []error
}

func (in *instruments) failed(err error) {
	if err != nil {
		in.errs = append(in.errs, err)
	}
}

func (in *instruments) counter(d *metricDef) metric.Int64Counter {
	c, err := in.meter.Int64Counter(d.name, metric.WithUnit(d.unit), metric.WithDescription(d.help))
	in.failed(err)
	return c
}

func (in *instruments) histogram(d *metricDef) metric.Float64Histogram {
	h, err := in.meter.Float64Histogram(d.name, metric.WithUnit(d.unit), metric.WithDescription(d.help), metric.WithExplicitBucketBoundaries(d.bounds...))
	in.failed(err)
	return h
}

func (in *instruments) observedCounter(d *metricDef) metric.Int64ObservableCounter {
	c, err := in.meter.Int64ObservableCounter(d.name, metric.WithUnit(d.unit), metric.WithDescription(d.help))
	in.failed(err)
	return c
}

func (in *instruments) observedGauge(d *metricDef) metric.Float64ObservableGauge {
	g, err := in.meter.Float64ObservableGauge(d.name, metric.WithUnit(d.unit), metric.WithDescription(d.help))
	in.failed(err)
	return g
}

// Sources are where the metrics of a process are read from when somebody asks.
type Sources struct {
	Counters *processor.Counters
	Status   func() []processor.Status
	// Pending returns the entries in the timer indexes, as far as known.
	Pending    func() map[processor.TopicPartition]int64
	Now        func() int64 // ms
	EventClock bool
	// Experiments returns what is found of the experiments; nil: nobody looks.
	Experiments func() Experiments
}

// Experiments is what is found of the experiments.
type Experiments struct {
	Rules  []AutoPause // those that ask for auto_pause
	Alarms []ExperimentAlarm
}

// AutoPause is a rule that asks for auto_pause.
type AutoPause struct {
	Rule   string
	Paused bool
}

// ExperimentAlarm is a check of an experiment that has found something wrong.
type ExperimentAlarm struct{ Experiment, Check string }

// Watch registers the metrics that are read from the sources.
func (t *Telemetry) Watch(s Sources) error {
	in := instruments{meter: t.meter}
	c := s.Counters
	var all []metric.Observable
	var reads []func(metric.Observer)
	count := func(d *metricDef, read func() int64) {
		inst := in.observedCounter(d)
		all = append(all, inst)
		reads = append(reads, func(o metric.Observer) { o.ObserveInt64(inst, read()) })
	}
	count(&mEvents, c.Events.Load)
	count(&mUnread, c.Unread.Load)
	count(&mDuplicates, c.Duplicates.Load)
	count(&mPulledBack, c.PulledBack.Load)
	count(&mDeadLetters, c.DeadLetters.Load)
	count(&mMissing, c.Missing.Load)
	count(&mMismatches, c.Mismatches.Load)
	count(&mRefused, c.Refused.Load)
	count(&mFires, c.Fired.Load)
	count(&mBatches, c.Batches.Load)
	count(&mStates, c.Written.Load)
	count(&mLookups, func() int64 { return c.Events.Load() - c.Unread.Load() + c.Fired.Load() })
	count(&mLoads, c.Loaded.Load)
	count(&mTransactions, c.Transactions.Load)
	count(&mAborted, c.Aborted.Load)
	count(&mFenced, c.Fenced.Load)
	count(&mStoreErrors, c.StoreErrors.Load)
	count(&mReplayed, c.Replayed.Load)
	gauges := make([]metric.Float64ObservableGauge, len(partitionGauges))
	for i, d := range partitionGauges {
		gauges[i] = in.observedGauge(d)
		all = append(all, gauges[i])
	}
	autoPaused, alarm := in.observedGauge(&mAutoPaused), in.observedGauge(&mAlarm)
	all = append(all, autoPaused, alarm)
	_, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, read := range reads {
			read(o)
		}
		s.observePartitions(func(i int, v float64, labels metric.MeasurementOption) { o.ObserveFloat64(gauges[i], v, labels) })
		if s.Experiments != nil {
			x := s.Experiments()
			for _, r := range x.Rules {
				o.ObserveFloat64(autoPaused, number(r.Paused), metric.WithAttributes(labelRule.String(r.Rule)))
			}
			for _, a := range x.Alarms {
				o.ObserveFloat64(alarm, 1, metric.WithAttributes(labelExperiment.String(a.Experiment), labelCheck.String(a.Check)))
			}
		}
		return nil
	}, all...)
	return errors.Join(append(in.errs, err)...)
}

// partitionGauges are the metrics that every partition has, in the order in which
// observePartitions gives them.
var partitionGauges = []*metricDef{&mLagRecords, &mLagSeconds, &mClockLag, &mReady, &mStopped, &mPending}

func (s *Sources) observePartitions(observe func(gauge int, v float64, labels metric.MeasurementOption)) {
	now := s.Now()
	pending := s.Pending()
	for _, p := range s.Status() {
		labels := metric.WithAttributeSet(attribute.NewSet(labelTopic.String(p.Input.Topic), labelPartition.String(strconv.Itoa(int(p.Input.Partition)))))
		lag := Lag(&p, now)
		if p.Ready {
			observe(0, float64(lag.Records), labels)
			observe(1, lag.Time.Seconds(), labels)
			if !s.EventClock {
				observe(2, lag.Clock.Seconds(), labels)
			}
		}
		observe(3, number(p.Ready && p.Trouble == ""), labels) // as /readyz says
		observe(4, number(p.Stopped != nil), labels)
		if n, ok := pending[p.Input]; ok {
			observe(5, float64(n), labels)
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// PartitionLag is how far behind a partition is.
type PartitionLag struct {
	Records int64
	Time    time.Duration // age of the newest record taken in while others wait, else 0
	Clock   time.Duration // of the partition clock behind the wall clock
}

// Lag tells how far behind a partition is when the wall clock reads now, ms.
func Lag(p *processor.Status, now int64) (lag PartitionLag) {
	lag.Records = max(p.End-p.Offset, 0)
	if lag.Records > 0 && p.Stamp > 0 {
		lag.Time = time.Duration(max(now-p.Stamp, 0)) * time.Millisecond
	}
	if p.Clock > 0 {
		lag.Clock = time.Duration(max(now-p.Clock, 0)) * time.Millisecond
	}
	return lag
}

// ForwardSources are where the metrics of nudged forward are read from.
type ForwardSources struct {
	Taken, DeadLetters func() int64
	UnderWay           func() int
}

// WatchForward registers the metrics of nudged forward that are read from the
// sources.
func (t *Telemetry) WatchForward(s ForwardSources) error {
	in := instruments{meter: t.meter}
	taken, dead, underWay := in.observedCounter(&mForwarded), in.observedCounter(&mForwardDeadLetters), in.observedGauge(&mForwardUnderWay)
	_, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(taken, s.Taken())
		o.ObserveInt64(dead, s.DeadLetters())
		o.ObserveFloat64(underWay, float64(s.UnderWay()))
		return nil
	}, taken, dead, underWay)
	return errors.Join(append(in.errs, err)...)
}

// ForwardRequests returns what is to be told of each request of nudged forward.
func (t *Telemetry) ForwardRequests() (observe func(status int, took time.Duration), err error) {
	in := instruments{meter: t.meter}
	requests := in.histogram(&mForwardRequests)
	observe = func(status int, took time.Duration) {
		requests.Record(context.Background(), took.Seconds(), metric.WithAttributes(labelStatus.Int(status)))
	}
	return observe, errors.Join(in.errs...)
}

// RedisHook measures the round trips of a client.
func (t *Telemetry) RedisHook() (redis.Hook, error) {
	in := instruments{meter: t.meter}
	h := &redisHook{duration: in.histogram(&mRedis)}
	return h, errors.Join(in.errs...)
}

type redisHook struct {
	duration metric.Float64Histogram
	labels   sync.Map // redisCall -> metric.MeasurementOption
}

type redisCall struct {
	name   string
	failed bool
}

func (h *redisHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *redisHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmd)
		h.record(ctx, cmd.Name(), err, began)
		return err
	}
}

func (h *redisHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		began := time.Now()
		err := next(ctx, cmds)
		name := "pipeline"
		if len(cmds) > 0 && cmds[0].Name() == "multi" {
			name = "multi"
		}
		h.record(ctx, name, err, began)
		return err
	}
}

func (h *redisHook) record(ctx context.Context, name string, err error, began time.Time) {
	call := redisCall{name, err != nil && !errors.Is(err, redis.Nil)}
	opt, ok := h.labels.Load(call)
	if !ok {
		labels := []attribute.KeyValue{labelDBSystem.String("redis"), labelDBCall.String(name)}
		if call.failed {
			labels = append(labels, labelDBError.String("failed"))
		}
		opt, _ = h.labels.LoadOrStore(call, metric.WithAttributeSet(attribute.NewSet(labels...)))
	}
	h.duration.Record(ctx, time.Since(began).Seconds(), opt.(metric.MeasurementOption))
}

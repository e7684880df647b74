package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nudged/nudged/bench/floors"
	"github.com/nudged/nudged/bench/load"
	"github.com/nudged/nudged/bench/measure"
	"github.com/nudged/nudged/bench/oracle"
)

// Commands with which the benchmark starts itself.
const (
	decodeName   = "floor-decode"
	ctpName      = "floor-ctp"
	measuredName = "measured"
)

// figures are what one program used in one round, and what the services used
// for it meanwhile.
type figures struct {
	WallSeconds float64 `json:"wall_s"`
	CPUSeconds  float64 `json:"cpu_s"`
	BrokerCPU   float64 `json:"broker_cpu_s"`
	RedisCPU    float64 `json:"redis_cpu_s"`
	PeakRSS     int64   `json:"peak_rss_bytes"`
}

// round is one time through: both floors and nudged on the same events.
type round struct {
	Decode figures `json:"floor_decode"`
	CTP    figures `json:"floor_ctp"`
	Nudged figures `json:"nudged"`

	Commits    int64               `json:"floor_ctp_commits"`
	Redis      measure.RedisMemory `json:"redis"`
	RedisGrown int64               `json:"redis_grown_bytes"` // used_memory after, less before
	BrokerPeak int64               `json:"broker_peak_rss_bytes"`
	RedisPeak  int64               `json:"redis_peak_rss_bytes"`
	Verdict    *oracle.Verdict     `json:"verdict,omitempty"`
}

// bench is what stays the same over the rounds.
type bench struct {
	services   services
	self       string
	nudged     string   // program; empty: floors only
	env        []string // what nudged gets in its environment beside ours: NAME=value
	events     string   // topic
	partitions int
	records    int64
	owed       oracle.Result
	tag        string
	dir        string
	keep       bool
	timeout    time.Duration
	progress   io.Writer
}

func (b *bench) round(ctx context.Context, n int) (r round, err error) {
	tag := fmt.Sprintf("%s-%d", b.tag, n)
	topics := load.OutputTopics(tag)
	topics.Events = b.events
	ctpOutput := "bench-ctp-" + tag
	all := append(topics.Outputs(), ctpOutput)
	if err := load.Create(ctx, b.services.brokers, b.partitions, all...); err != nil {
		return r, err
	}
	if !b.keep {
		defer func() {
			if delErr := load.Delete(context.WithoutCancel(ctx), b.services.brokers, all...); err == nil {
				err = delErr
			}
		}()
	}
	brokers := strings.Join(b.services.brokers, ",")

	var floor floors.Result
	r.Decode, floor, err = b.floor(ctx, decodeName, "-brokers", brokers, "-topic", b.events)
	if err == nil && floor.Records != b.records {
		err = fmt.Errorf("%s read %d records, %d were loaded", decodeName, floor.Records, b.records)
	}
	if err != nil {
		return r, err
	}
	r.CTP, floor, err = b.floor(ctx, ctpName, "-brokers", brokers, "-topic", b.events, "-output", ctpOutput,
		"-group", "bench-ctp-"+tag, "-sends", fmt.Sprint(len(b.owed.Sends)))
	r.Commits = floor.Commits
	if err != nil || b.nudged == "" {
		return r, err
	}
	return r, b.runNudged(ctx, &r, topics, tag)
}

// floor runs one of the benchmark's own commands as a process of its own.
func (b *bench) floor(ctx context.Context, args ...string) (figures, floors.Result, error) {
	var out bytes.Buffer
	var res floors.Result
	f, code, err := b.measured(ctx, append([]string{b.self}, args...), &out, os.Stderr)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s ended with exit code %d", args[0], code)
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &res)
	}
	return f, res, err
}

// measured runs a program to its end.
func (b *bench) measured(ctx context.Context, argv []string, stdout, stderr io.Writer) (figures, int, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	before, err := b.services.clocks()
	if err != nil {
		return figures{}, 0, err
	}
	u, err := measure.Run(ctx, b.self, []string{measuredName}, argv, stdout, stderr)
	if err != nil {
		return figures{}, 0, err
	}
	after, err := b.services.clocks()
	return figures{
		WallSeconds: u.WallSeconds,
		CPUSeconds:  u.CPUSeconds,
		PeakRSS:     u.PeakRSS,
		BrokerCPU:   after.broker - before.broker,
		RedisCPU:    after.redis - before.redis,
	}, u.ExitCode, err
}

// runNudged runs nudged over the events with an empty Redis, looks at what it
// left there, and verifies what it sent.
func (b *bench) runNudged(ctx context.Context, r *round, topics load.Topics, tag string) error {
	rdb := b.services.redis()
	defer rdb.Close()
	if err := measure.Empty(ctx, rdb); err != nil {
		return err
	}
	empty, err := measure.UsedMemory(ctx, rdb)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, tag)
	s := settings{services: b.services, topics: topics, group: "bench-nudged-" + tag, clock: "event", http: "127.0.0.1:0"}
	config, err := s.write(dir)
	if err != nil {
		return err
	}
	logPath := filepath.Join(dir, "nudged.log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	b.services.resetPeaks()
	var code int
	argv := []string{b.nudged, "run", "--config", config, "--stop-at-end"}
	if len(b.env) > 0 {
		argv = append(append([]string{"env"}, b.env...), argv...)
	}
	r.Nudged, code, err = b.measured(ctx, argv, log, log)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w; it was not done after %v (-timeout), or it was killed; all it said is in %s, at the end:\n%s", err, b.timeout, logPath, tail(logPath, 20))
		}
		return err
	}
	if code != 0 {
		return fmt.Errorf("nudged ended with exit code %d; configuration %s, all it said is in %s, at the end:\n%s", code, config, logPath, tail(logPath, 20))
	}
	if r.BrokerPeak, r.RedisPeak, err = b.services.peaks(); err != nil {
		return err
	}
	if r.Redis, err = measure.Redis(ctx, rdb); err != nil {
		return err
	}
	r.RedisGrown = r.Redis.UsedMemory - empty
	readCtx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	v, err := load.Check(readCtx, b.services.brokers, topics, b.owed)
	r.Verdict = &v
	return err
}

// decodeCommand is floors.Decode as a process.
func decodeCommand(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet(decodeName, flag.ContinueOnError)
	brokers := fs.String("brokers", "", "host:port, comma-separated")
	topic := fs.String("topic", "", "topic to read")
	if err := parse(fs, args); err != nil {
		return err
	}
	res, err := floors.Decode(ctx, strings.Split(*brokers, ","), *topic)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(res)
}

// ctpCommand is floors.ConsumeTransformProduce as a process.
func ctpCommand(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet(ctpName, flag.ContinueOnError)
	brokers := fs.String("brokers", "", "host:port, comma-separated")
	topic := fs.String("topic", "", "topic to read")
	output := fs.String("output", "", "topic to write")
	group := fs.String("group", "", "consumer group and transactional id")
	sends := fs.Int64("sends", 0, "records to write in all")
	if err := parse(fs, args); err != nil {
		return err
	}
	res, err := floors.ConsumeTransformProduce(ctx, strings.Split(*brokers, ","), *topic, *output, *group, *sends)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(res)
}

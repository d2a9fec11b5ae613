// The compiled ceiling: fasthttp, encoding/json into typed events, franz-go (idempotent, acks=all), a 202 after the
// acknowledgement. `gateway PORT`, on one core with GOMAXPROCS=1.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"
)

type event struct {
	Type      string     `json:"type"`
	Timestamp *time.Time `json:"timestamp,omitempty"`
	SessionID string     `json:"session_id,omitempty"`
	URL       string     `json:"url,omitempty"`
	Page      string     `json:"page,omitempty"`
	Device    string     `json:"device,omitempty"`
	Release   string     `json:"release,omitempty"`
	Title     string     `json:"title,omitempty"`
	Referrer  string     `json:"referrer,omitempty"`
	Name      string     `json:"name,omitempty"`
	Value     float64    `json:"value,omitempty"`
	Unit      string     `json:"unit,omitempty"`
	MetricID  string     `json:"metric_id,omitempty"`
}

var topics = map[string]string{"page_view": "signalbox.page-views.v1", "metric": "signalbox.metrics.v1"}

func (e *event) valid() bool {
	return topics[e.Type] != "" && len(e.SessionID) <= 64 && len(e.Page) <= 512 && len(e.Release) <= 200 &&
		(e.Type != "metric" || e.Name != "" && len(e.Name) <= 200)
}

func decode(body []byte) ([]event, error) {
	if len(body) > 0 && body[0] == '[' {
		var many []event
		return many, json.Unmarshal(body, &many)
	}
	var one event
	err := json.Unmarshal(body, &one)
	return []event{one}, err
}

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(os.Getenv("KAFKA_BOOTSTRAP_SERVERS"), ",")...),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0))
	if err != nil {
		log.Fatal(err)
	}
	handle := func(ctx *fasthttp.RequestCtx) {
		if string(ctx.Path()) != "/v1/events" {
			return
		}
		events, err := decode(ctx.PostBody())
		for i := range events {
			if err != nil || !events[i].valid() {
				ctx.SetStatusCode(422)
				return
			}
		}
		var wait sync.WaitGroup
		var failed error
		for i := range events {
			value, _ := json.Marshal(&events[i])
			record := &kgo.Record{Topic: topics[events[i].Type], Key: []byte(events[i].Page), Value: value}
			wait.Add(1)
			client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
				if err != nil {
					failed = err
				}
				wait.Done()
			})
		}
		wait.Wait()
		ctx.SetStatusCode(202)
		if failed != nil {
			ctx.SetStatusCode(503)
		}
	}
	log.Fatal(fasthttp.ListenAndServe("127.0.0.1:"+os.Args[1], handle))
}

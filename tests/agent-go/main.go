// SPDX-License-Identifier: Apache-2.0

// agent-go SOCKET: drives the guest's agent behind a UNIX socket with containerd's own ttrpc client, and prints TAP. The
// guest needs sh, cat, head and sleep.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/gogo/protobuf/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	service = "microvm.agent.v1.Agent"
	// What Run keeps of each output, and the longest frame (src/agent/agent-limits.h).
	runOutputMax = 384 << 10
	frameMax     = 1 << 20
	// A guest in software is slow; nothing here takes a tenth of this.
	patience = 60 * time.Second
)

type agent struct {
	socket string
	client *ttrpc.Client
}

func (a *agent) call(method string, request, response interface{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return a.client.Call(ctx, service, method, request, response)
}

func (a *agent) run(stdin string, argv ...string) (*RunResponse, error) {
	request := &RunRequest{Start: &ExecStart{Argv: argv, StdinOpen: stdin != ""}, Stdin: []byte(stdin)}
	response := &RunResponse{}
	if err := a.call("Run", request, response); err != nil {
		return nil, err
	}
	if response.Exited == nil {
		return nil, fmt.Errorf("no exit status in %v", response)
	}
	return response, nil
}

func wantCode(err error, want codes.Code) error {
	if got := status.Code(err); got != want {
		return fmt.Errorf("status %v, not %v: %v", got, want, err)
	}
	return nil
}

func (a *agent) health() error {
	response := &HealthResponse{}
	if err := a.call("Health", &HealthRequest{}, response); err != nil {
		return err
	}
	if response.Protocol != 1 || response.Version == "" {
		return fmt.Errorf("unexpected answer: %v", response)
	}
	return nil
}

func (a *agent) wantStatus(want uint32, argv ...string) error {
	response, err := a.run("", argv...)
	if err == nil && (response.Exited.Status != want || response.Exited.Signal != 0) {
		err = fmt.Errorf("status %d, signal %d, not %d", response.Exited.Status, response.Exited.Signal, want)
	}
	return err
}

func (a *agent) runTrue() error {
	return a.wantStatus(0, "true")
}

func (a *agent) runExit() error {
	return a.wantStatus(7, "sh", "-c", "exit 7")
}

func (a *agent) runSignalled() error {
	response, err := a.run("", "sh", "-c", "kill -9 $$")
	if err == nil && (response.Exited.Status != 137 || response.Exited.Signal != 9) {
		err = fmt.Errorf("%v", response.Exited)
	}
	return err
}

func (a *agent) runNotFound() error {
	_, err := a.run("", "no-such-program-anywhere")
	return wantCode(err, codes.NotFound)
}

func (a *agent) runStreams() error {
	response, err := a.run("hello\n", "sh", "-c", "cat; echo oops >&2")
	if err != nil {
		return err
	}
	if string(response.Stdout) != "hello\n" || string(response.Stderr) != "oops\n" || response.Truncated {
		return fmt.Errorf("stdout %q, stderr %q, truncated %v", response.Stdout, response.Stderr, response.Truncated)
	}
	return nil
}

func (a *agent) runEnvironment() error {
	request := &RunRequest{Start: &ExecStart{Argv: []string{"sh", "-c", "echo $GREETING; pwd"},
		Env: []string{"GREETING=hi there"}, Cwd: "/tmp"}}
	response := &RunResponse{}
	if err := a.call("Run", request, response); err != nil {
		return err
	}
	if string(response.Stdout) != "hi there\n/tmp\n" {
		return fmt.Errorf("stdout %q", response.Stdout)
	}
	return nil
}

func (a *agent) runTruncated() error {
	response, err := a.run("", "head", "-c", "1000000", "/dev/zero")
	if err != nil {
		return err
	}
	if len(response.Stdout) != runOutputMax || !response.Truncated {
		return fmt.Errorf("%d bytes, truncated %v", len(response.Stdout), response.Truncated)
	}
	return nil
}

func (a *agent) stat() error {
	response := &FileInfo{}
	if err := a.call("Stat", &StatRequest{Path: []byte("/")}, response); err != nil {
		return err
	}
	if response.Mode&0170000 != 0040000 {
		return fmt.Errorf("/ has mode %o", response.Mode)
	}
	err := a.call("Stat", &StatRequest{Path: []byte("/no/such/file")}, response)
	return wantCode(err, codes.NotFound)
}

func (a *agent) statRelative() error {
	return wantCode(a.call("Stat", &StatRequest{Path: []byte("etc")}, &FileInfo{}), codes.InvalidArgument)
}

func (a *agent) stats() error {
	s := &StatsResponse{}
	if err := a.call("Stats", &StatsRequest{}, s); err != nil {
		return err
	}
	if s.MemoryTotal == 0 || s.MemoryAvailable > s.MemoryTotal || s.CPUs == 0 || s.Processes == 0 || s.UptimeNs == 0 {
		return fmt.Errorf("unlikely: %v", s)
	}
	return nil
}

func (a *agent) clock() error {
	first, second := &ClockResponse{}, &ClockResponse{}
	if err := a.call("Clock", &ClockRequest{}, first); err != nil {
		return err
	}
	if err := a.call("Clock", &ClockRequest{}, second); err != nil {
		return err
	}
	if first.UnixNs <= 0 || second.UnixNs < first.UnixNs {
		return fmt.Errorf("%d, then %d", first.UnixNs, second.UnixNs)
	}
	return nil
}

func (a *agent) unknownMethod() error {
	return wantCode(a.call("NoSuchMethod", &HealthRequest{}, &HealthResponse{}), codes.Unimplemented)
}

func (a *agent) unknownService() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := a.client.Call(ctx, "no.such.Service", "Health", &HealthRequest{}, &HealthResponse{})
	return wantCode(err, codes.Unimplemented)
}

// The client gives up by itself; the connection serves the next call.
func (a *agent) timeoutOfTheClient() error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	request := &RunRequest{Start: &ExecStart{Argv: []string{"sleep", "30"}}}
	err := a.client.Call(ctx, service, "Run", request, &RunResponse{})
	if err != context.DeadlineExceeded && status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("unexpected: %v", err)
	}
	return a.health()
}

// A connection by hand, for what the client does not do.
func (a *agent) rawCall(stream uint32, conn net.Conn, request *ttrpc.Request) (*ttrpc.Response, error) {
	payload, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	return rawExchange(stream, conn, payload)
}

func rawExchange(stream uint32, conn net.Conn, payload []byte) (*ttrpc.Response, error) {
	header := make([]byte, 10)
	binary.BigEndian.PutUint32(header, uint32(len(payload)))
	binary.BigEndian.PutUint32(header[4:], stream)
	header[8] = 1
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(append(header, payload...)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, header); err != nil {
		return nil, err
	}
	if got := binary.BigEndian.Uint32(header[4:]); got != stream || header[8] != 2 {
		return nil, fmt.Errorf("a frame of type %d on stream %d", header[8], got)
	}
	length := binary.BigEndian.Uint32(header)
	if length > 4<<20 {
		return nil, fmt.Errorf("a response of %d bytes", length)
	}
	answer := make([]byte, length)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	response := &ttrpc.Response{}
	return response, proto.Unmarshal(answer, response)
}

func wantRaw(response *ttrpc.Response, err error, want codes.Code) error {
	if err != nil {
		return err
	}
	if got := codes.Code(response.Status.GetCode()); got != want {
		return fmt.Errorf("status %v, not %v: %v", got, want, response.Status)
	}
	return nil
}

// The guest gives up by itself, too, and its program with it.
func (a *agent) timeoutOfTheGuest() error {
	conn, err := net.Dial("unix", a.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	run, err := proto.Marshal(&RunRequest{Start: &ExecStart{Argv: []string{"sleep", "30"}}})
	if err != nil {
		return err
	}
	began := time.Now()
	request := &ttrpc.Request{Service: service, Method: "Run", Payload: run, TimeoutNano: int64(300 * time.Millisecond)}
	response, err := a.rawCall(1, conn, request)
	if err := wantRaw(response, err, codes.DeadlineExceeded); err != nil {
		return err
	}
	if taken := time.Since(began); taken < 300*time.Millisecond || taken > 20*time.Second {
		return fmt.Errorf("after %v", taken)
	}
	response, err = a.rawCall(3, conn, &ttrpc.Request{Service: service, Method: "Health"})
	return wantRaw(response, err, codes.OK)
}

func (a *agent) metadata() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	md := ttrpc.MD{}
	md.Set("user", "me", "myself")
	md.Set("empty", "")
	return a.client.Call(ttrpc.WithMetadata(ctx, md), service, "Health", &HealthRequest{}, &HealthResponse{})
}

// A call that lasts does not hold up another on the same connection.
func (a *agent) parallel() error {
	done := make(chan error, 1)
	go func() { done <- a.wantStatus(0, "sleep", "3") }()
	time.Sleep(100 * time.Millisecond)
	if err := a.health(); err != nil {
		return err
	}
	select {
	case err := <-done:
		return fmt.Errorf("the first call ended before the second: %v", err)
	default:
	}
	return <-done
}

// Above the agent's frame, and above that of ttrpc itself. The connection goes on.
func (a *agent) tooLong() error {
	for _, size := range []int{frameMax, 4<<20 + 1} {
		_, err := a.run(string(bytes.Repeat([]byte{'x'}, size)), "true")
		if err := wantCode(err, codes.ResourceExhausted); err != nil {
			return fmt.Errorf("%d bytes: %v", size, err)
		}
		if err := a.health(); err != nil {
			return fmt.Errorf("after %d bytes: %v", size, err)
		}
	}
	return nil
}

func (a *agent) malformed() error {
	conn, err := net.Dial("unix", a.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	response, err := rawExchange(1, conn, []byte{0xff, 0xff})
	if err := wantRaw(response, err, codes.InvalidArgument); err != nil {
		return err
	}
	response, err = a.rawCall(3, conn, &ttrpc.Request{Service: service, Method: "Stat", Payload: []byte{0x08, 0x01}})
	if err := wantRaw(response, err, codes.InvalidArgument); err != nil {
		return err
	}
	response, err = a.rawCall(5, conn, &ttrpc.Request{Service: service, Method: "Health"})
	return wantRaw(response, err, codes.OK)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Println("Bail out! usage: agent-go SOCKET")
		os.Exit(2)
	}
	conn, err := net.Dial("unix", os.Args[1])
	if err != nil {
		fmt.Printf("Bail out! %v\n", err)
		os.Exit(1)
	}
	a := &agent{socket: os.Args[1], client: ttrpc.NewClient(conn)}
	defer a.client.Close()
	tests := []struct {
		name string
		run  func() error
	}{
		{"health tells protocol and version", a.health},
		{"run gives exit status 0", a.runTrue},
		{"run gives exit status 7", a.runExit},
		{"run tells the signal that ended a program", a.runSignalled},
		{"run tells a program that does not exist apart", a.runNotFound},
		{"run passes stdin, and keeps stdout and stderr apart", a.runStreams},
		{"run sets environment and working directory", a.runEnvironment},
		{"run cuts a long output and says so", a.runTruncated},
		{"stat finds what is there and nothing else", a.stat},
		{"stat refuses a relative path", a.statRelative},
		{"stats are likely numbers", a.stats},
		{"clock goes forward", a.clock},
		{"unknown method is UNIMPLEMENTED", a.unknownMethod},
		{"unknown service is UNIMPLEMENTED", a.unknownService},
		{"client's timeout leaves the connection alone", a.timeoutOfTheClient},
		{"guest keeps to the request's timeout", a.timeoutOfTheGuest},
		{"metadata is taken", a.metadata},
		{"two calls run at once", a.parallel},
		{"too long a request is RESOURCE_EXHAUSTED", a.tooLong},
		{"malformed requests are INVALID_ARGUMENT", a.malformed},
		{"health again after all of this", a.health},
	}
	fmt.Printf("1..%d\n", len(tests))
	failed := 0
	for i, test := range tests {
		if err := test.run(); err != nil {
			failed++
			fmt.Printf("not ok %d - %s\n# %s\n", i+1, test.name, strings.ReplaceAll(err.Error(), "\n", "\n# "))
		} else {
			fmt.Printf("ok %d - %s\n", i+1, test.name)
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

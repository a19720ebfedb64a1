// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// The messages of src/agent/proto/agent.proto that the tests use, as ttrpc's own types.go writes its own: protobuf in
// GOPATH mode makes them from the tags. A message of another program than ours is the point of these tests, so that
// this is no second encoder of the project.

type HealthRequest struct{}
type HealthResponse struct {
	Protocol    uint32 `protobuf:"varint,1,opt,name=protocol,proto3"`
	Version     string `protobuf:"bytes,2,opt,name=version,proto3"`
	SSH         bool   `protobuf:"varint,3,opt,name=ssh,proto3"`
	MainRunning bool   `protobuf:"varint,4,opt,name=main_running,proto3"`
}
type ExecStart struct {
	Argv      []string `protobuf:"bytes,1,rep,name=argv,proto3"`
	Env       []string `protobuf:"bytes,2,rep,name=env,proto3"`
	Cwd       string   `protobuf:"bytes,3,opt,name=cwd,proto3"`
	User      string   `protobuf:"bytes,4,opt,name=user,proto3"`
	StdinOpen bool     `protobuf:"varint,6,opt,name=stdin_open,proto3"`
}
type Exited struct {
	Status uint32 `protobuf:"varint,1,opt,name=status,proto3"`
	Signal uint32 `protobuf:"varint,2,opt,name=signal,proto3"`
}
type RunRequest struct {
	Start *ExecStart `protobuf:"bytes,1,opt,name=start,proto3"`
	Stdin []byte     `protobuf:"bytes,2,opt,name=stdin_data,proto3"`
}
type RunResponse struct {
	Exited    *Exited `protobuf:"bytes,1,opt,name=exited,proto3"`
	Stdout    []byte  `protobuf:"bytes,2,opt,name=stdout_data,proto3"`
	Stderr    []byte  `protobuf:"bytes,3,opt,name=stderr_data,proto3"`
	Truncated bool    `protobuf:"varint,4,opt,name=truncated,proto3"`
}
type StatRequest struct {
	Path   []byte `protobuf:"bytes,1,opt,name=path,proto3"`
	Follow bool   `protobuf:"varint,2,opt,name=follow,proto3"`
}
type FileInfo struct {
	Name    []byte `protobuf:"bytes,1,opt,name=name,proto3"`
	Mode    uint32 `protobuf:"varint,2,opt,name=mode,proto3"`
	UID     uint32 `protobuf:"varint,3,opt,name=uid,proto3"`
	GID     uint32 `protobuf:"varint,4,opt,name=gid,proto3"`
	Size    uint64 `protobuf:"varint,5,opt,name=size,proto3"`
	MtimeNs int64  `protobuf:"varint,6,opt,name=mtime_ns,proto3"`
	Link    []byte `protobuf:"bytes,7,opt,name=link,proto3"`
	Device  uint64 `protobuf:"varint,8,opt,name=device,proto3"`
}
type StatsRequest struct{}
type StatsResponse struct {
	MemoryTotal     uint64 `protobuf:"varint,1,opt,name=memory_total,proto3"`
	MemoryAvailable uint64 `protobuf:"varint,2,opt,name=memory_available,proto3"`
	CPUs            uint32 `protobuf:"varint,6,opt,name=cpus,proto3"`
	Processes       uint32 `protobuf:"varint,7,opt,name=processes,proto3"`
	UptimeNs        uint64 `protobuf:"varint,8,opt,name=uptime_ns,proto3"`
	RootTotal       uint64 `protobuf:"varint,9,opt,name=root_total,proto3"`
}
type ClockRequest struct {
	SetUnixNs int64 `protobuf:"varint,1,opt,name=set_unix_ns,proto3"`
}
type ClockResponse struct {
	UnixNs int64 `protobuf:"varint,1,opt,name=unix_ns,proto3"`
}

func (m *HealthRequest) Reset()          { *m = HealthRequest{} }
func (m *HealthRequest) String() string  { return fmt.Sprintf("%+v", *m) }
func (m *HealthRequest) ProtoMessage()   {}
func (m *HealthResponse) Reset()         { *m = HealthResponse{} }
func (m *HealthResponse) String() string { return fmt.Sprintf("%+v", *m) }
func (m *HealthResponse) ProtoMessage()  {}
func (m *ExecStart) Reset()              { *m = ExecStart{} }
func (m *ExecStart) String() string      { return fmt.Sprintf("%+v", *m) }
func (m *ExecStart) ProtoMessage()       {}
func (m *Exited) Reset()                 { *m = Exited{} }
func (m *Exited) String() string         { return fmt.Sprintf("%+v", *m) }
func (m *Exited) ProtoMessage()          {}
func (m *RunRequest) Reset()             { *m = RunRequest{} }
func (m *RunRequest) String() string     { return fmt.Sprintf("%+v", *m) }
func (m *RunRequest) ProtoMessage()      {}
func (m *RunResponse) Reset()            { *m = RunResponse{} }
func (m *RunResponse) String() string    { return fmt.Sprintf("%+v", *m) }
func (m *RunResponse) ProtoMessage()     {}
func (m *StatRequest) Reset()            { *m = StatRequest{} }
func (m *StatRequest) String() string    { return fmt.Sprintf("%+v", *m) }
func (m *StatRequest) ProtoMessage()     {}
func (m *FileInfo) Reset()               { *m = FileInfo{} }
func (m *FileInfo) String() string       { return fmt.Sprintf("%+v", *m) }
func (m *FileInfo) ProtoMessage()        {}
func (m *StatsRequest) Reset()           { *m = StatsRequest{} }
func (m *StatsRequest) String() string   { return fmt.Sprintf("%+v", *m) }
func (m *StatsRequest) ProtoMessage()    {}
func (m *StatsResponse) Reset()          { *m = StatsResponse{} }
func (m *StatsResponse) String() string  { return fmt.Sprintf("%+v", *m) }
func (m *StatsResponse) ProtoMessage()   {}
func (m *ClockRequest) Reset()           { *m = ClockRequest{} }
func (m *ClockRequest) String() string   { return fmt.Sprintf("%+v", *m) }
func (m *ClockRequest) ProtoMessage()    {}
func (m *ClockResponse) Reset()          { *m = ClockResponse{} }
func (m *ClockResponse) String() string  { return fmt.Sprintf("%+v", *m) }
func (m *ClockResponse) ProtoMessage()   {}

// A worker on grpc-go, whose payload says what it should do (tests/polyglot/README.md).
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"armonik-k8s-test-worker/pb"
)

const large = 63 * 1024 * 1024

type worker struct {
	pb.UnimplementedWorkerServer
	agent pb.AgentClient
}

func (w *worker) HealthCheck(context.Context, *pb.Empty) (*pb.HealthCheckReply, error) {
	return &pb.HealthCheckReply{Status: pb.HealthCheckReply_SERVING}, nil
}

func (w *worker) Process(ctx context.Context, request *pb.ProcessRequest) (*pb.ProcessReply, error) {
	task := &task{ctx, request, w.agent}
	refused, err := task.execute()
	if err != nil {
		return nil, err
	}
	if refused != "" {
		return &pb.ProcessReply{Output: &pb.Output{Type: &pb.Output_Error_{Error: &pb.Output_Error{Details: refused}}}}, nil
	}
	return &pb.ProcessReply{Output: &pb.Output{Type: &pb.Output_Ok{Ok: &pb.Empty{}}}}, nil
}

type task struct {
	context context.Context
	*pb.ProcessRequest
	agent pb.AgentClient
}

// execute gives the text of an error that is final, or one that is tried again.
func (t *task) execute() (string, error) {
	payload, err := t.read(t.PayloadId)
	if err != nil {
		return "", err
	}
	what, argument, _ := strings.Cut(string(payload), " ")
	switch what {
	case "error":
		return "refused: 100 % Ünheard of", nil
	case "throw":
		return "", fmt.Errorf("thrown")
	case "exit":
		os.Exit(3)
	case "sleep":
		<-t.context.Done()
		return "", t.context.Err()
	case "large":
		if _, err := t.create(bytes.Repeat([]byte{7}, large)); err != nil {
			return "", err
		}
		return "", t.write([]byte("large"))
	case "create":
		count, err := strconv.Atoi(argument)
		if err != nil {
			return "", err
		}
		var data [][]byte
		for i := range count {
			data = append(data, []byte(strconv.Itoa(i)))
		}
		ids, err := t.create(data...)
		if err != nil {
			return "", err
		}
		return "", t.write([]byte(strings.Join(ids, " ")))
	case "submit":
		return "", t.submit()
	}
	names := append([]string{}, t.DataDependencies...)
	sort.Strings(names)
	output := append(payload, '|')
	for _, name := range names {
		input, err := t.read(name)
		if err != nil {
			return "", err
		}
		output = append(output, input...)
	}
	return "", t.write(output)
}

func (t *task) read(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(t.DataFolder, name))
}

func (t *task) create(data ...[]byte) ([]string, error) {
	request := &pb.CreateResultsRequest{CommunicationToken: t.CommunicationToken, SessionId: t.SessionId}
	for i, one := range data {
		made := &pb.CreateResultsRequest_ResultCreate{Name: fmt.Sprintf("r%d", i), Data: one}
		request.Results = append(request.Results, made)
	}
	answer, err := t.agent.CreateResults(t.context, request)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, made := range answer.Results {
		ids = append(ids, made.ResultId)
	}
	return ids, nil
}

func (t *task) write(data []byte) error {
	request := &pb.NotifyResultDataRequest{CommunicationToken: t.CommunicationToken}
	for _, name := range t.ExpectedOutputKeys {
		if err := os.WriteFile(filepath.Join(t.DataFolder, name), data, 0o644); err != nil {
			return err
		}
		id := &pb.NotifyResultDataRequest_ResultIdentifier{SessionId: t.SessionId, ResultId: name}
		request.Ids = append(request.Ids, id)
	}
	_, err := t.agent.NotifyResultData(t.context, request)
	return err
}

func (t *task) submit() error {
	made, err := t.create([]byte("child"))
	if err != nil {
		return err
	}
	creation := &pb.SubmitTasksRequest_TaskCreation{PayloadId: made[0], ExpectedOutputKeys: t.ExpectedOutputKeys}
	_, err = t.agent.SubmitTasks(t.context, &pb.SubmitTasksRequest{
		CommunicationToken: t.CommunicationToken,
		SessionId:          t.SessionId,
		TaskCreations:      []*pb.SubmitTasksRequest_TaskCreation{creation},
	})
	return err
}

func main() {
	agent, err := grpc.NewClient(
		"unix:"+os.Getenv("ComputePlane__AgentChannel__Address"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	)
	if err != nil {
		log.Fatal(err)
	}
	address := os.Getenv("ComputePlane__WorkerChannel__Address")
	_ = os.Remove(address)
	listener, err := net.Listen("unix", address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterWorkerServer(server, &worker{agent: pb.NewAgentClient(agent)})
	log.Fatal(server.Serve(listener))
}

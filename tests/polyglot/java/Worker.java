// A worker on grpc-java, whose payload says what it should do (tests/polyglot/README.md).

import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import fr.aneo.armonik.api.grpc.v1.Objects.Empty;
import fr.aneo.armonik.api.grpc.v1.Objects.Output;
import fr.aneo.armonik.api.grpc.v1.agent.AgentCommon.CreateResultsRequest;
import fr.aneo.armonik.api.grpc.v1.agent.AgentCommon.CreateResultsResponse;
import fr.aneo.armonik.api.grpc.v1.agent.AgentCommon.NotifyResultDataRequest;
import fr.aneo.armonik.api.grpc.v1.agent.AgentCommon.NotifyResultDataResponse;
import fr.aneo.armonik.api.grpc.v1.agent.AgentCommon.SubmitTasksRequest;
import fr.aneo.armonik.api.grpc.v1.agent.AgentCommon.SubmitTasksResponse;
import fr.aneo.armonik.api.grpc.v1.worker.WorkerCommon.HealthCheckReply;
import fr.aneo.armonik.api.grpc.v1.worker.WorkerCommon.ProcessReply;
import fr.aneo.armonik.api.grpc.v1.worker.WorkerCommon.ProcessRequest;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** The services' methods are described here: protoc's plugin of grpc-java is not in all registries. */
public final class Worker {
  private static final int LARGE = 63 * 1024 * 1024;
  private static final String AGENT = "armonik.api.grpc.v1.agent.Agent";
  private static final String WORKER = "armonik.api.grpc.v1.worker.Worker";
  private static final MethodDescriptor<CreateResultsRequest, CreateResultsResponse> CREATE =
      method(AGENT, "CreateResults", CreateResultsRequest.getDefaultInstance(), CreateResultsResponse.getDefaultInstance());
  private static final MethodDescriptor<NotifyResultDataRequest, NotifyResultDataResponse> NOTIFY =
      method(AGENT, "NotifyResultData", NotifyResultDataRequest.getDefaultInstance(), NotifyResultDataResponse.getDefaultInstance());
  private static final MethodDescriptor<SubmitTasksRequest, SubmitTasksResponse> SUBMIT =
      method(AGENT, "SubmitTasks", SubmitTasksRequest.getDefaultInstance(), SubmitTasksResponse.getDefaultInstance());
  private static final MethodDescriptor<Empty, HealthCheckReply> HEALTH =
      method(WORKER, "HealthCheck", Empty.getDefaultInstance(), HealthCheckReply.getDefaultInstance());
  private static final MethodDescriptor<ProcessRequest, ProcessReply> PROCESS =
      method(WORKER, "Process", ProcessRequest.getDefaultInstance(), ProcessReply.getDefaultInstance());

  private final Channel agent;

  private Worker(Channel agent) {
    this.agent = agent;
  }

  private static <Q extends Message, A extends Message> MethodDescriptor<Q, A> method(
      String service, String name, Q request, A answer) {
    return MethodDescriptor.<Q, A>newBuilder()
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName(MethodDescriptor.generateFullMethodName(service, name))
        .setRequestMarshaller(ProtoUtils.marshaller(request))
        .setResponseMarshaller(ProtoUtils.marshaller(answer))
        .build();
  }

  private void healthCheck(Empty request, StreamObserver<HealthCheckReply> answer) {
    answer.onNext(HealthCheckReply.newBuilder().setStatus(HealthCheckReply.ServingStatus.SERVING).build());
    answer.onCompleted();
  }

  private void process(ProcessRequest request, StreamObserver<ProcessReply> answer) {
    try {
      Output output = new Task(agent, request).execute();
      answer.onNext(ProcessReply.newBuilder().setOutput(output).build());
      answer.onCompleted();
    } catch (Exception error) {
      answer.onError(Status.INTERNAL.withDescription(error.getMessage()).asRuntimeException());
    }
  }

  private record Task(Channel agent, ProcessRequest request) {
    Output execute() throws IOException, InterruptedException {
      byte[] payload = read(request.getPayloadId());
      String[] words = new String(payload, StandardCharsets.UTF_8).split(" ", 2);
      switch (words[0]) {
        case "error":
          return Output.newBuilder()
              .setError(Output.Error.newBuilder().setDetails("refused: 100 % Ünheard of"))
              .build();
        case "throw":
          throw new IllegalStateException("thrown");
        case "exit":
          Runtime.getRuntime().halt(3);
          break;
        case "sleep":
          Thread.sleep(60_000);
          break;
        case "large":
          byte[] large = new byte[LARGE];
          Arrays.fill(large, (byte) 7);
          create(List.of(large));
          write("large".getBytes(StandardCharsets.UTF_8));
          break;
        case "create":
          List<byte[]> data = new ArrayList<>();
          for (int i = 0; i < Integer.parseInt(words[1]); i++) {
            data.add(Integer.toString(i).getBytes(StandardCharsets.UTF_8));
          }
          write(String.join(" ", create(data)).getBytes(StandardCharsets.UTF_8));
          break;
        case "submit":
          submit();
          break;
        default:
          List<String> names = new ArrayList<>(request.getDataDependenciesList());
          Collections.sort(names);
          ByteArrayOutputStream output = new ByteArrayOutputStream();
          output.write(payload);
          output.write('|');
          for (String name : names) {
            output.write(read(name));
          }
          write(output.toByteArray());
      }
      return Output.newBuilder().setOk(Empty.getDefaultInstance()).build();
    }

    private byte[] read(String name) throws IOException {
      return Files.readAllBytes(Path.of(request.getDataFolder(), name));
    }

    private List<String> create(List<byte[]> data) {
      CreateResultsRequest.Builder asked =
          CreateResultsRequest.newBuilder()
              .setCommunicationToken(request.getCommunicationToken())
              .setSessionId(request.getSessionId());
      for (byte[] one : data) {
        asked.addResults(
            CreateResultsRequest.ResultCreate.newBuilder()
                .setName("r" + asked.getResultsCount())
                .setData(ByteString.copyFrom(one)));
      }
      return ask(CREATE, asked.build()).getResultsList().stream().map(made -> made.getResultId()).toList();
    }

    private void write(byte[] data) throws IOException {
      NotifyResultDataRequest.Builder asked =
          NotifyResultDataRequest.newBuilder().setCommunicationToken(request.getCommunicationToken());
      for (String name : request.getExpectedOutputKeysList()) {
        Files.write(Path.of(request.getDataFolder(), name), data);
        asked.addIds(
            NotifyResultDataRequest.ResultIdentifier.newBuilder()
                .setSessionId(request.getSessionId())
                .setResultId(name));
      }
      ask(NOTIFY, asked.build());
    }

    private void submit() {
      String child = create(List.of("child".getBytes(StandardCharsets.UTF_8))).get(0);
      ask(
          SUBMIT,
          SubmitTasksRequest.newBuilder()
              .setCommunicationToken(request.getCommunicationToken())
              .setSessionId(request.getSessionId())
              .addTaskCreations(
                  SubmitTasksRequest.TaskCreation.newBuilder()
                      .setPayloadId(child)
                      .addAllExpectedOutputKeys(request.getExpectedOutputKeysList()))
              .build());
    }

    private <Q, A> A ask(MethodDescriptor<Q, A> method, Q asked) {
      return ClientCalls.blockingUnaryCall(agent, method, CallOptions.DEFAULT, asked);
    }
  }

  public static void main(String[] arguments) throws Exception {
    EventLoopGroup loop = new EpollEventLoopGroup(1);
    Channel agent =
        NettyChannelBuilder.forAddress(new DomainSocketAddress(System.getenv("ComputePlane__AgentChannel__Address")))
            .eventLoopGroup(loop)
            .channelType(EpollDomainSocketChannel.class)
            .usePlaintext()
            .build();
    Worker worker = new Worker(agent);
    String address = System.getenv("ComputePlane__WorkerChannel__Address");
    Files.deleteIfExists(Path.of(address));
    NettyServerBuilder.forAddress(new DomainSocketAddress(address))
        .channelType(EpollServerDomainSocketChannel.class)
        .bossEventLoopGroup(loop)
        .workerEventLoopGroup(loop)
        .addService(
            ServerServiceDefinition.builder(WORKER)
                .addMethod(HEALTH, ServerCalls.asyncUnaryCall(worker::healthCheck))
                .addMethod(PROCESS, ServerCalls.asyncUnaryCall(worker::process))
                .build())
        .build()
        .start()
        .awaitTermination();
  }
}

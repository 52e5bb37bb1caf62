// A worker on gRPC's own C++ library, whose payload says what it should do (tests/polyglot/README.md).
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "agent_service.grpc.pb.h"
#include "worker_service.grpc.pb.h"

namespace api = armonik::api::grpc::v1;

namespace {

constexpr size_t kLarge = 63 * 1024 * 1024;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}

class Task {
 public:
  Task(const grpc::ServerContext& context, const api::worker::ProcessRequest& request, api::agent::Agent::Stub& agent)
      : context_(context), request_(request), agent_(agent) {}

  void execute(api::Output& output) {
    const std::string payload = read(request_.payload_id());
    const size_t space = payload.find(' ');
    const std::string what = payload.substr(0, space);
    output.mutable_ok();
    if (what == "error") {
      output.mutable_error()->set_details("refused: 100 % Ünheard of");
    } else if (what == "throw") {
      throw std::runtime_error("thrown");
    } else if (what == "exit") {
      std::_Exit(3);
    } else if (what == "sleep") {
      while (!context_.IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    } else if (what == "large") {
      create({std::string(kLarge, '\7')});
      write("large");
    } else if (what == "create") {
      std::vector<std::string> data;
      for (int i = 0; i < std::stoi(payload.substr(space + 1)); ++i) data.push_back(std::to_string(i));
      std::string ids;
      for (const auto& id : create(data)) ids += (ids.empty() ? "" : " ") + id;
      write(ids);
    } else if (what == "submit") {
      submit();
    } else {
      std::vector<std::string> names(request_.data_dependencies().begin(), request_.data_dependencies().end());
      std::sort(names.begin(), names.end());
      std::string inputs;
      for (const auto& name : names) inputs += read(name);
      write(payload + "|" + inputs);
    }
  }

 private:
  std::filesystem::path path(const std::string& name) const {
    return std::filesystem::path(request_.data_folder()) / name;
  }

  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::vector<std::string> create(const std::vector<std::string>& data) {
    api::agent::CreateResultsRequest request;
    request.set_communication_token(request_.communication_token());
    request.set_session_id(request_.session_id());
    for (const auto& one : data) {
      auto* made = request.add_results();
      made->set_name("r" + std::to_string(request.results_size()));
      made->set_data(one);
    }
    grpc::ClientContext context;
    api::agent::CreateResultsResponse answer;
    check(agent_.CreateResults(&context, request, &answer));
    std::vector<std::string> ids;
    for (const auto& made : answer.results()) ids.push_back(made.result_id());
    return ids;
  }

  void write(const std::string& data) {
    api::agent::NotifyResultDataRequest request;
    request.set_communication_token(request_.communication_token());
    for (const auto& name : request_.expected_output_keys()) {
      std::ofstream file(path(name), std::ios::binary);
      if (!file.write(data.data(), static_cast<std::streamsize>(data.size())).flush()) {
        throw std::runtime_error("cannot write " + name);
      }
      auto* id = request.add_ids();
      id->set_session_id(request_.session_id());
      id->set_result_id(name);
    }
    grpc::ClientContext context;
    api::agent::NotifyResultDataResponse answer;
    check(agent_.NotifyResultData(&context, request, &answer));
  }

  void submit() {
    const auto made = create({"child"});
    api::agent::SubmitTasksRequest request;
    request.set_communication_token(request_.communication_token());
    request.set_session_id(request_.session_id());
    auto* task = request.add_task_creations();
    task->set_payload_id(made.front());
    *task->mutable_expected_output_keys() = request_.expected_output_keys();
    grpc::ClientContext context;
    api::agent::SubmitTasksResponse answer;
    check(agent_.SubmitTasks(&context, request, &answer));
  }

  static void check(const grpc::Status& status) {
    if (!status.ok()) throw std::runtime_error(status.error_message());
  }

  const grpc::ServerContext& context_;
  const api::worker::ProcessRequest& request_;
  api::agent::Agent::Stub& agent_;
};

class Worker final : public api::worker::Worker::Service {
 public:
  explicit Worker(const std::shared_ptr<grpc::Channel>& channel) : agent_(api::agent::Agent::NewStub(channel)) {}

  grpc::Status HealthCheck(grpc::ServerContext*, const api::Empty*, api::worker::HealthCheckReply* reply) override {
    reply->set_status(api::worker::HealthCheckReply::SERVING);
    return grpc::Status::OK;
  }

  grpc::Status Process(grpc::ServerContext* context, const api::worker::ProcessRequest* request,
                       api::worker::ProcessReply* reply) override {
    try {
      Task(*context, *request, *agent_).execute(*reply->mutable_output());
      return grpc::Status::OK;
    } catch (const std::exception& error) {
      return {grpc::StatusCode::INTERNAL, error.what()};
    }
  }

 private:
  std::unique_ptr<api::agent::Agent::Stub> agent_;
};

}  // namespace

int main() {
  const std::string address = environment("ComputePlane__WorkerChannel__Address");
  std::filesystem::remove(address);
  Worker worker(grpc::CreateChannel("unix:" + environment("ComputePlane__AgentChannel__Address"),
                                    grpc::InsecureChannelCredentials()));
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + address, grpc::InsecureServerCredentials());
  builder.RegisterService(&worker);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  server->Wait();
}

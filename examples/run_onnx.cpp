// Fuses PGMs (P5, grey, 8 bit) with a fusion exported to ONNX: run_onnx fuse.onnx SOURCE.pgm SOURCE.pgm ... OUT.pgm
// g++ -std=c++17 -O2 run_onnx.cpp -I onnxruntime/include -L onnxruntime/lib -lonnxruntime -o run_onnx
#include <onnxruntime_cxx_api.h>

#include <array>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  Ort::Env env;
  Ort::Session session(env, argv[1], Ort::SessionOptions());
  std::string magic;
  int64_t width = 0, height = 0, most = 0;
  std::vector<float> pixels;
  for (int i = 2; i < argc - 1; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    file >> magic >> width >> height >> most;
    file.get();
    for (int64_t n = width * height; n > 0; --n) pixels.push_back(file.get() / 255.f);
  }
  std::array<int64_t, 4> shape{argc - 3, height, width, 1};
  auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  auto sources = Ort::Value::CreateTensor<float>(memory, pixels.data(), pixels.size(), shape.data(), shape.size());
  const char *takes[] = {"sources"}, *gives[] = {"image"};
  auto image = session.Run(Ort::RunOptions(), takes, &sources, 1, gives, 1);
  std::ofstream output(argv[argc - 1], std::ios::binary);
  output << "P5\n" << width << " " << height << "\n255\n";
  for (int64_t i = 0; i < width * height; ++i) output.put(std::lround(255 * image[0].GetTensorData<float>()[i]));
}

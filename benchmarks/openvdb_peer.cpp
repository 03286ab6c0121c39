// The peer of benchmarks/watertight_speed.py: OpenVDB's unsigned distance and iso-surface.
//
//   g++ -O3 -march=native -std=c++17 openvdb_peer.cpp -o openvdb_peer -lopenvdb -ltbb
//   openvdb_peer MESH.bin RESOLUTION EPS REPEATS
//
// MESH.bin: int64 vertex count, int64 face count, float32 positions, uint32 corners, in the
// normalised frame. Prints one line a repeat: seconds of the distance field, of the surface,
// vertices, quads, triangles. Reading the file is not timed.
#include <openvdb/openvdb.h>
#include <openvdb/tools/MeshToVolume.h>
#include <openvdb/tools/VolumeToMesh.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

using Clock = std::chrono::steady_clock;

static double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    FILE* file = std::fopen(argv[1], "rb");
    if (!file) return 2;
    int64_t counts[2];
    if (std::fread(counts, sizeof(int64_t), 2, file) != 2) return 2;
    std::vector<openvdb::Vec3s> points(counts[0]);
    std::vector<openvdb::Vec3I> triangles(counts[1]);
    if (std::fread(points.data(), 12, counts[0], file) != size_t(counts[0])) return 2;
    if (std::fread(triangles.data(), 12, counts[1], file) != size_t(counts[1])) return 2;
    std::fclose(file);
    const double step = 2.1 / std::atof(argv[2]), eps = std::atof(argv[3]);

    openvdb::initialize();
    const auto transform = openvdb::math::Transform::createLinearTransform(step);
    const std::vector<openvdb::Vec4I> none;
    for (int repeat = 0; repeat < std::atoi(argv[4]); ++repeat) {
        auto start = Clock::now();
        const auto grid = openvdb::tools::meshToUnsignedDistanceField<openvdb::FloatGrid>(
            *transform, points, triangles, none, float(eps / step + 1.5));
        const double field = since(start);
        start = Clock::now();
        std::vector<openvdb::Vec3s> vertices;
        std::vector<openvdb::Vec3I> faces;
        std::vector<openvdb::Vec4I> quads;
        openvdb::tools::volumeToMesh(*grid, vertices, faces, quads, eps, 0.0);
        const double surface = since(start);
        std::printf("%.6f %.6f %zu %zu %zu\n", field, surface, vertices.size(), quads.size(),
                    faces.size());
        std::fflush(stdout);
    }
    return 0;
}

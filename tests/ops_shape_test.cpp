// Ops that move, pick, pool and normalise, on cases worked by hand: values, adjoints and messages.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include <wengert/engine/context.hpp>
#include <wengert/engine/random.hpp>
#include <wengert/ops/arithmetic.hpp>
#include <wengert/ops/average_pool.hpp>
#include <wengert/ops/batch_norm.hpp>
#include <wengert/ops/dropout.hpp>
#include <wengert/ops/index.hpp>
#include <wengert/ops/max_pool.hpp>
#include <wengert/ops/reduce.hpp>
#include <wengert/ops/shape.hpp>

#include "ops_support.hpp"

namespace wg = wengert;
using wg::Index, wg::Tape, wg::Tensor, wg::Var, wg::DType, wg::Shape;
using wg::test::contains, wg::test::message_of, wg::test::values, wg::test::List, wg::test::pulled_back, wg::test::counting;

namespace {

wg::Pool2dOptions pool_options(wg::Extent2d window, wg::Extent2d stride = 0, wg::Padding2d padding = {}, bool count_padding = false) {
  return {.window = window, .stride = stride, .padding = padding, .count_padding = count_padding};
}

}  // namespace

TEST_CASE("shape: transpose and its inverse in the gradient") {
  Tape tape;
  const Var x = tape.variable(counting(Shape{2, 3}));
  CHECK(values(transpose(x)) == List{0, 3, 1, 4, 2, 5});
  CHECK(pulled_back(transpose(x), x, Tensor{{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}}) == List{1, 3, 5, 2, 4, 6});
  const Var y = tape.variable(counting(Shape{2, 3, 2}));
  const Var moved = transpose(y, {2, 0, 1});
  CHECK(moved.shape() == Shape{2, 2, 3});
  CHECK(values(moved) == List{0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11});
  CHECK(pulled_back(moved, y, moved.value()) == values(y));
  CHECK(values(transpose(tape.constant(Tensor{{1, 2}, {3, 4}}))) == List{1, 3, 2, 4});
  CHECK(transpose(y, {0, 1, 2}).node() == y.node());
  CHECK(contains(message_of([&] { return transpose(y, {0, 0, 1}); }), "wanted a permutation of the 3 axes of f64 (2,3,2), got (0,0,1)"));
  CHECK(contains(message_of([&] { return transpose(y, {1, 0}); }), "got (1,0)"));
}

TEST_CASE("shape: pad and slice are each other's gradient") {
  Tape tape;
  const Var x = tape.variable(Tensor{{1.0, 2.0}, {3.0, 4.0}});
  const Var padded = pad(x, {1, 0}, {0, 1}, 9.0);
  CHECK(padded.shape() == Shape{3, 3});
  CHECK(values(padded) == List{9, 9, 9, 1, 2, 9, 3, 4, 9});
  CHECK(pulled_back(padded, x, counting(Shape{3, 3})) == List{3, 4, 6, 7});
  const Var y = tape.variable(counting(Shape{2, 5}));
  CHECK(values(slice(y, {0, 1}, {2, 4})) == List{1, 2, 3, 6, 7, 8});
  CHECK(values(slice(y, {1, 0}, {2, 5}, {1, 2})) == List{5, 7, 9});
  CHECK(pulled_back(slice(y, {1, 0}, {2, 5}, {1, 2}), y, Tensor{{1.0, 2.0, 3.0}}) == List{0, 0, 0, 0, 0, 1, 0, 2, 0, 3});
  CHECK(slice(y, {0, 2}, {2, 2}).shape() == Shape{2, 0});
  CHECK(values(pad(tape.constant(Tensor{1, 2}), {1}, {0}, 7)) == List{7, 1, 2});
  CHECK(contains(message_of([&] {
                   return pad(x, {0, -1}, {0, 0});
                 }),
                 "wanted 2 numbers of 0 or more before and after, got (0,-1) and (0,0)"));
  CHECK(contains(message_of([&] { return pad(tape.constant(Tensor{1, 2}), {1}, {0}, 1e30); }), "wanted a value that i32 holds"));
  CHECK(contains(message_of([&] { return slice(y, {0, 3}, {2, 6}); }), "begin (0,3), end (2,6) for f64 (2,5)"));
  CHECK(contains(message_of([&] { return slice(y, {0}, {2}); }), "wanted 2 numbers"));
}

TEST_CASE("shape: concatenate and flatten") {
  Tape tape;
  const Var a = tape.variable(Tensor{{1.0, 2.0}, {3.0, 4.0}}), b = tape.variable(Tensor{{5.0}, {6.0}});
  const Var row = wg::concatenate({a, b}, -1, "joined");
  CHECK(values(row) == List{1, 2, 5, 3, 4, 6});
  CHECK(row.name() == "joined");
  CHECK(pulled_back(row, a, counting(Shape{2, 3})) == List{0, 1, 3, 4});
  CHECK(pulled_back(row, b, counting(Shape{2, 3})) == List{2, 5});
  CHECK(values(wg::concatenate({a, a}, 0)) == List{1, 2, 3, 4, 1, 2, 3, 4});
  CHECK(contains(message_of([&] { return wg::concatenate({a, b}, 0); }), "wanted parts that agree on all axes but 0, got (2,2) and (2,1)"));
  CHECK(contains(message_of([&] { return wg::concatenate({}, 0); }), "wanted at least one part"));
  CHECK(contains(message_of([&] { return wg::concatenate({a, Var()}, 0); }), "got an empty Var"));
  CHECK(flatten(tape.batch(counting(Shape{5, 2, 3}))).shape() == Shape{5, 6});
  CHECK(flatten(tape.batch(Tensor::zeros(Shape{0, 2, 3}))).shape() == Shape{0, 6});
  CHECK(flatten(tape.constant(counting(Shape{4}))).shape() == Shape{4, 1});
  CHECK(contains(message_of([&] { return flatten(sum(a)); }), "wanted (N, ...), got a scalar"));
}

TEST_CASE("index: a wrong integer is named by its position in the batch, however the batch is cut") {
  Tape tape;
  std::vector<std::int32_t> integers(128, 0);
  integers[101] = 99;
  const Var indices = tape.batch(Tensor::copy(integers.data(), {64, 2})), x = tape.variable(counting(Shape{10, 3}));
  const Var rows = tape.batch(counting(Shape{64, 3})), y = tape.batch(counting(Shape{64, 2}));
  const std::string place = "got 99 at position 101;";
  CHECK(contains(message_of([&] { return gather(x, indices, 0); }), place));
  CHECK(contains(message_of([&] { return scatter_add(y, indices, 0, 3); }), place));
  CHECK(contains(message_of([&] { return one_hot(indices, 10); }), place));
  CHECK(contains(message_of([&] { return take_along(rows, indices, 1); }), place));
  CHECK(contains(message_of([&] { return put_along(y, indices, 1, Shape{64, 3}); }), place));
  const Var shared = tape.constant(Tensor{0, 7});  // not cut: every chunk reads it whole
  CHECK(contains(message_of([&] { return gather(rows, shared, 1); }), "got 7 at position 1;"));
}

TEST_CASE("index: gather and scatter_add are each other's gradient; repeated indices add") {
  Tape tape;
  const Var x = tape.variable(Tensor{{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}});
  const Var rows = tape.constant(Tensor{2, 0, 2});
  CHECK(values(gather(x, rows, 0)) == List{5, 6, 1, 2, 5, 6});
  CHECK(pulled_back(gather(x, rows, 0), x, counting(Shape{3, 2})) == List{2, 3, 0, 0, 4, 6});
  const Var columns = tape.constant(Tensor{{1}, {0}});
  CHECK(gather(x, columns, -1).shape() == Shape{3, 2, 1});
  CHECK(values(gather(x, columns, -1)) == List{2, 1, 4, 3, 6, 5});
  CHECK(values(gather(tape.constant(Tensor{7, 8, 9}), rows, 0)) == List{9, 7, 9});
  const Var sums = scatter_add(x, rows, 0, 4);
  CHECK(values(sums) == List{3, 4, 0, 0, 6, 8, 0, 0});
  CHECK(pulled_back(sums, x, counting(Shape{4, 2})) == List{4, 5, 0, 1, 4, 5});
  CHECK(contains(message_of([&] { return gather(x, tape.constant(Tensor{0, 3}), 0); }), "wanted indices in [0, 3), got 3 at position 1"));
  CHECK(contains(message_of([&] { return scatter_add(x, tape.constant(Tensor{0, -1, 1}), 0, 2); }), "wanted indices in [0, 2), got -1"));
  CHECK(contains(message_of([&] { return gather(x, x, 0); }), "wanted i32 indices"));
  CHECK(contains(message_of([&] {
                   return scatter_add(x, tape.constant(Tensor{0, 1}), 0, 2);
                 }),
                 "wanted y with the indices' axes (2) from its axis 0 on"));
}

TEST_CASE("index: one_hot, take_along and put_along") {
  Tape tape;
  const Var classes = tape.constant(Tensor{2, 0});
  CHECK(values(one_hot(classes, 3)) == List{0, 0, 1, 1, 0, 0});
  CHECK(one_hot(classes, 3, DType::f64).dtype() == DType::f64);
  CHECK(contains(message_of([&] { return one_hot(classes, 2); }), "wanted indices in [0, 2), got 2 at position 0"));
  CHECK(contains(message_of([&] { return one_hot(tape.constant(Tensor{1.0}), 2); }), "wanted i32 classes"));
  const Var x = tape.variable(counting(Shape{2, 2, 2})), positions = tape.constant(Tensor{{3, 3, 0}, {1, 2, 3}});
  const Var taken = take_along(x, positions, 1);
  CHECK(values(taken) == List{3, 3, 0, 5, 6, 7});
  CHECK(pulled_back(taken, x, Tensor{{1.0, 2.0, 4.0}, {5.0, 6.0, 7.0}}) == List{4, 0, 0, 3, 0, 5, 6, 7});
  const Var y = tape.variable(Tensor{{1.0, 2.0, 3.0}, {4.0, 5.0, 6.0}});
  const Var put = put_along(y, positions, 1, Shape{2, 4});
  CHECK(values(put) == List{3, 0, 0, 3, 0, 4, 5, 6});
  CHECK(pulled_back(put, y, counting(Shape{2, 4})) == List{3, 3, 0, 5, 6, 7});
  CHECK(contains(message_of([&] { return take_along(y, positions, 1); }), "wanted indices in [0, 3), got 3"));
  CHECK(contains(message_of([&] {
                   return put_along(y, positions, 1, Shape{3, 4});
                 }),
                 "wanted 1 leading axes in common, got (3,4) and positions (2,3)"));
}

TEST_CASE("dropout: the mask is the stream's, whatever the chunks; its gradient passes the same mask") {
  Tape tape;
  const Tensor ones = Tensor::full(Shape{37, 5}, 1.0, DType::f64);
  const Var step = tape.constant(Tensor::scalar(3, DType::i32)), x = tape.variable(ones);
  const wg::DropoutAttributes attributes{0.25, 11, wg::hash_name("drop")};
  const List whole = values(dropout(x, step, attributes));
  CHECK(values(dropout(tape.batch(ones), step, attributes)) == whole);
  CHECK(pulled_back(dropout(x, step, attributes), x, ones) == whole);
  const wg::RandomStream stream = wg::random_stream(11, "drop", 3);
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(whole[i] == (stream.uniform(static_cast<Index>(i)) < 0.75 ? 1.0 / 0.75 : 0.0));
  CHECK(values(dropout(x, tape.constant(Tensor::scalar(4, DType::i32)), attributes)) != whole);
  CHECK(contains(message_of([&] { return dropout(x, step, wg::DropoutAttributes{1.0, 0, 0}); }), "wanted a rate in [0, 1), got 1"));
  CHECK(contains(message_of([&] { return dropout(x, x, attributes); }), "wanted an i32 scalar as the step"));
}

TEST_CASE("dropout: the identity in evaluation, the scope's seed and step in training") {
  Tape tape;
  const Var x = tape.variable(Tensor::full(Shape{8, 8}, 1.0)), step = tape.constant(Tensor::scalar(3, DType::i32));
  CHECK(dropout(x, 0.5, "drop").node() == x.node());
  const wg::TrainingScope training(11, step);
  const Var y = dropout(x, 0.5, "drop");
  CHECK(y.name() == "drop");
  CHECK(values(y) == values(dropout(x, step, wg::DropoutAttributes{0.5, 11, wg::hash_name("drop")})));
  CHECK(values(y) != values(dropout(x, 0.5, "other")));
  const wg::TrainingScope stepless(11, Var());
  CHECK(contains(message_of([&] { return dropout(x, 0.5, "drop"); }), "[dropout 'drop' "));
}

TEST_CASE("average pool: 4x4 by windows of 2, its adjoint, padding in and out, the mean of planes") {
  Tape tape;
  const Var x = tape.variable(counting(Shape{1, 1, 4, 4}));
  const Var y = average_pool2d(x, {.window = 2});
  CHECK(values(y) == List{2.5, 4.5, 10.5, 12.5});
  const Tensor cotangent = Tensor{4.0, 8.0, 12.0, 16.0}.reshape(Shape{1, 1, 2, 2});
  CHECK(pulled_back(y, x, cotangent) == List{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
  const Var small = tape.variable(Tensor{1.0, 2.0, 3.0, 4.0}.reshape(Shape{1, 1, 2, 2}));
  const wg::Padding2d around = wg::Padding2d::sides(1, 1, 1, 1);
  CHECK(values(average_pool2d(small, pool_options(2, 2, around))) == List{1, 2, 3, 4});
  CHECK(values(average_pool2d(small, pool_options(2, 2, around, true))) == List{0.25, 0.5, 0.75, 1});
  CHECK(global_average_pool2d(x).shape() == Shape{1, 1});
  CHECK(global_average_pool2d(x).item() == 7.5);
  CHECK(contains(message_of([&] { return global_average_pool2d(sum(x)); }), "wanted x (N,C,H,W), got f64 ()"));
}

TEST_CASE("pool options: sizes by valid, same and sides, and what is refused") {
  const Shape x{8, 3, 7, 5};
  const wg::PoolGeometry plain = resolve(pool_options(2), x);
  CHECK(plain.out_height == 3);
  CHECK(plain.out_width == 2);
  CHECK(plain.stride_width == 2);
  const wg::PoolGeometry same = resolve(pool_options(2, 2, wg::Padding2d::same()), x);  // ceil(7/2), ceil(5/2); the extra zero at the end
  CHECK(same.out_height == 4);
  CHECK(same.out_width == 3);
  CHECK(same.pad_top == 0);
  CHECK(same.pad_bottom == 1);
  const wg::PoolGeometry full = resolve(pool_options({3, 2}, 2, wg::Padding2d::full()), x);
  CHECK(full.out_height == 5);  // (7 + 2 * 2 - 3) / 2 + 1
  CHECK(full.out_width == 3);   // (5 + 2 * 1 - 2) / 2 + 1
  CHECK(full.pad_top == 2);
  CHECK(full.pad_right == 1);
  const wg::PoolGeometry wide = resolve(pool_options({3, 1}, 1, wg::Padding2d::same()), x);
  CHECK(wide.pad_top == 1);
  CHECK(wide.pad_bottom == 1);
  CHECK(wide.out_width == 5);
  const auto refusal = [&](const wg::Pool2dOptions& options) { return message_of([&] { resolve(options, x); }); };
  CHECK(contains(refusal(pool_options(6)), "wanted a window no larger than the padded input, got width 6 for 5 with padding 0+0"));
  CHECK(contains(refusal(pool_options(0)), "wanted a window of at least 1, got height 0"));
  CHECK(contains(refusal(pool_options(2, -1)), "wanted a stride of at least 1, got height -1"));
  CHECK(contains(refusal(pool_options(2, 2, wg::Padding2d::sides(0, 0, -1, 0))), "wanted padding of 0 or more, got width -1+0"));
  CHECK(contains(refusal(pool_options(2, 2, wg::Padding2d::sides(2, 0, 0, 0))), "wanted every window to hold an element of the input"));
  CHECK(contains(refusal(pool_options(2, 2, wg::Padding2d::sides(0, 0, 0, 3))), "wanted every window to hold an element of the input"));
  CHECK(contains(refusal(pool_options(Index{1} << 62)), "wanted height, window, stride and padding of at most 2^31"));
  const Shape flat{1, 1, 0, 4};
  CHECK(contains(message_of([&] { resolve(pool_options(2, 1, wg::Padding2d::sides(1, 1, 0, 0)), flat); }),
                 "wanted planes with at least one element, got height 0"));
  Tape tape;
  CHECK(contains(message_of([&] {
                   return average_pool2d(tape.constant(counting(Shape{1, 1, 2, 2})), {.window = 3});
                 }),
                 "[average_pool2d "));
  CHECK(contains(message_of([&] {
                   return average_pool2d(tape.constant(counting(Shape{2, 2}), "plane"), {.window = 1});
                 }),
                 "wanted x (N,C,H,W), got (2,2) from 'plane'"));
}

TEST_CASE("max pool: planes beyond what i32 positions can name are refused") {
  Tape tape(Tape::Mode::declaring);
  const auto pooled = [&](wg::Index height) {
    const Var x = tape.variable(Tensor::declared({{1, 1, height, 65536}, DType::f32}));
    return message_of([&] { max_pool2d(x, {.window = 2}); });
  };
  CHECK(contains(pooled(32768), "wanted planes of at most 2^31 - 1 elements, got 32768x65536"));
  CHECK(pooled(32767) == "no error");
}

TEST_CASE("batch norm: a channel worked by hand, and the inference form with the same statistics") {
  Tape tape;
  const Var x = tape.variable(Tensor{{1.0, 0.0}, {3.0, 0.0}}), gamma = tape.variable(Tensor{2.0, 5.0}),
            beta = tape.variable(Tensor{10.0, 20.0});
  const wg::BatchNormResult trained = batch_norm(x, gamma, beta, 3.0);  // variance 1 + epsilon 3: deviation 2
  CHECK(values(trained.y) == List{9, 20, 11, 20});
  CHECK(values(trained.mean) == List{2, 0});
  CHECK(values(trained.variance) == List{1, 0});
  const Var inferred = batch_norm_inference(x, gamma, beta, trained.mean, trained.variance, 3.0);
  CHECK(values(inferred) == List{9, 20, 11, 20});
  const auto [dgamma, dbeta] = wg::gradients<2>(sum(trained.y * trained.y), {gamma, beta});
  CHECK(values(dgamma) == List{-9 + 11, 0});
  CHECK(values(dbeta) == List{40, 80});
  CHECK(
      contains(message_of([&] { return batch_norm(x, beta, tape.constant(Tensor{1.0}), 1e-5).y; }), "wanted gamma and beta (2), got (1)"));
  CHECK(contains(message_of([&] { return batch_norm(gamma, gamma, beta).y; }), "wanted x (N,C,...), got (2)"));
  const Var nothing = tape.constant(Tensor::zeros(Shape{0, 2}, DType::f64));
  CHECK(contains(message_of([&] { return batch_norm(nothing, gamma, beta).y; }), "wanted at least one element in each channel"));
}

TEST_CASE("batch norm: gradients through the statistics cancel, and reach x through mean and variance") {
  Tape tape;
  const Var x = tape.variable(Tensor{{1.0}, {2.0}, {6.0}}), one = tape.variable(Tensor{1.0}), zero = tape.variable(Tensor{0.0});
  const wg::BatchNormResult result = batch_norm(x, one, zero, 0.0);
  for (const double d : values(wg::gradients<1>(sum(result.y), {x})[0])) CHECK(d == doctest::Approx(0).epsilon(1e-12));
  for (const double d : values(wg::gradients<1>(sum(result.mean), {x})[0])) CHECK(d == doctest::Approx(1.0 / 3.0));
  const List variance = values(wg::gradients<1>(sum(result.variance), {x})[0]);  // 2 (x - 3) / 3
  CHECK(variance[0] == doctest::Approx(-4.0 / 3.0));
  CHECK(variance[2] == doctest::Approx(2.0));
}

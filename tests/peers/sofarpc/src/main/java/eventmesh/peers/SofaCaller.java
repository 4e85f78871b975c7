package eventmesh.peers;

import com.alipay.sofa.rpc.config.ApplicationConfig;
import com.alipay.sofa.rpc.config.ConsumerConfig;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * A SOFARPC consumer of Shop, over Bolt, driven by lines on stdin, each answered by one line on stdout: "quote ITEM",
 * "forget ITEM", "many COUNT". Arguments: HOST:PORT.
 */
public final class SofaCaller {
    private static final int AT_ONCE = 16;

    private SofaCaller() {}

    public static void main(String[] args) throws Exception {
        Shop shop = new ConsumerConfig<Shop>()
                .setApplication(new ApplicationConfig().setAppName("caller"))
                .setInterfaceId(Shop.class.getName())
                .setProtocol("bolt")
                .setDirectUrl("bolt://" + args[0])
                .setTimeout(20_000)
                .setRegister(false)
                .refer();
        System.out.println("READY");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(answer(shop, line));
            System.out.flush();
        }
        System.exit(0);
    }

    private static String answer(Shop shop, String line) throws InterruptedException {
        String[] words = line.split(" ", 2);
        try {
            switch (words[0]) {
                case "quote":
                    return "OK " + told(shop.quote(order(words[1])));
                case "forget":
                    shop.forget(words[1]);
                    return "OK";
                case "many":
                    return many(shop, Integer.parseInt(words[1]));
                default:
                    return "ERROR unknown command " + words[0];
            }
        } catch (SoldOut | RuntimeException e) {
            return "THROWN " + e.getClass().getName() + " " + String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        }
    }

    private static Order order(String item) {
        Order order = new Order();
        order.item = item;
        order.count = 3;
        return order;
    }

    private static String told(Quote quote) {
        return quote.item + " " + quote.total + " " + quote.count + " " + quote.at.getTime() + " " + quote.lines.get(1).text;
    }

    private static String many(Shop shop, int count) throws InterruptedException {
        ExecutorService threads = Executors.newFixedThreadPool(AT_ONCE);
        try {
            List<Callable<Boolean>> calls = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                String item = "n" + i;
                calls.add(() -> shop.quote(order(item)).item.equals(item));
            }
            int right = 0;
            for (Future<Boolean> call : threads.invokeAll(calls)) {
                try {
                    right += call.get() ? 1 : 0;
                } catch (java.util.concurrent.ExecutionException e) {
                    // Counted as not right.
                    continue;
                }
            }
            return "OK " + right + "/" + count;
        } finally {
            threads.shutdownNow();
        }
    }
}

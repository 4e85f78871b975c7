package eventmesh.peers;

import java.io.Serializable;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A result with values of many kinds, and one object twice. */
public final class Quote implements Serializable {
    private static final long serialVersionUID = 1L;
    public String item;
    public String customer;
    public BigDecimal total;
    public long count;
    public double third = 1.0 / 3;
    public double mills = 12.345;
    public double half = 0.5;
    public float quarter = 0.25f;
    public Date at = new Date(1_700_000_000_123L);
    public byte[] stamp = {1, 2, 3};
    public List<Line> lines = new ArrayList<>();
    public Map<String, Integer> stock = new TreeMap<>();
    public Object self;

    /** A part of it. */
    public static final class Line implements Serializable {
        private static final long serialVersionUID = 1L;
        public String text;

        public Line(String text) {
            this.text = text;
        }
    }
}
